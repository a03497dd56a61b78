"""The money ledger: exact after any kill, and no cap is ever passed by what a provider bills."""

from __future__ import annotations

import json
import random
import shutil
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from agents.costs import Caps, CostBook
from agents.errors import BudgetSpent, ModelUnusable
from agents.prices import Price, Usage

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
PRICE = Price("config", {"input": 4.0, "output": 20.0, "cache_read": 0.2, "cache_write": 5.0})


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder in memory where there is one, since every line is synced."""
    memory = Path("/dev/shm")
    path = Path(tempfile.mkdtemp(dir=memory if memory.is_dir() else None))
    yield path
    shutil.rmtree(path)


def book(folder: Path, at: datetime = NOON, **caps: Any) -> CostBook:
    return CostBook(folder / "costs.jsonl", Caps(**caps), lambda: at)


def reserve(costs: CostBook, id: str, usd: float = 1.0, tokens: int = 1000, number: int = 1) -> None:
    costs.reserve(id, role="builder", round=number, turn="R01/plan", model="m", source="config", usd=usd, tokens=tokens)


def test_a_request_from_reservation_to_settlement(folder: Path) -> None:
    costs = book(folder, usd=10.0)
    reserve(costs, "builder/1/1", usd=4.0)
    assert (costs.is_open("builder/1/1"), costs.headroom(1), costs.totals().unanswered_usd) == (True, 6.0, 4.0)
    costs.settle("builder/1/1", Usage(input=10, cache_read=70, cache_write=20, output=5), 0.5, "config")
    reserve(costs, "builder/1/2", usd=2.0, number=2)
    costs.release("builder/1/2", "429")
    for seen in (costs, book(folder, usd=10.0)):
        total = seen.totals()
        assert (total.usd, total.unanswered_usd, total.requests, total.tokens) == (0.5, 0.0, 1, 105)
        assert total.cached_share == 0.7
        assert (seen.headroom(1), seen.open_ids(), seen.values("round")) == (9.5, [], [1])
    costs.close()


def test_totals_by_round_role_and_day(folder: Path) -> None:
    costs = book(folder)
    for number, role in ((1, "builder"), (1, "reviewer"), (2, "builder")):
        id = f"{role}/1/{number}"
        costs.reserve(id, role=role, round=number, turn="t", model="m", source="config", usd=9.0, tokens=9)
        costs.settle(id, Usage(input=number), float(number), "config")
    assert (costs.totals(round=1).usd, costs.totals(role="builder").usd) == (2.0, 3.0)
    assert (costs.totals(day="2026-03-04").usd, costs.totals(day="2026-03-05").usd) == (4.0, 0.0)
    assert costs.values("role") == ["builder", "reviewer"]
    assert costs.totals(round=7).cached_share is None
    costs.close()


@pytest.mark.parametrize(
    ("caps", "key"),
    [
        ({"usd": 1.5}, "budget.usd in"),
        ({"usd_per_day": 1.5}, "budget.usd_per_day"),
        ({"usd_per_round": 1.5}, "budget.usd_per_round"),
        ({"tokens": 1500}, "budget.tokens in"),
        ({"tokens_per_day": 1500}, "budget.tokens_per_day"),
        ({"tokens_per_round": 1500}, "budget.tokens_per_round"),
    ],
)
def test_every_cap_names_its_key(folder: Path, caps: dict[str, float], key: str) -> None:
    costs = book(folder, **caps)
    reserve(costs, "a")
    with pytest.raises(BudgetSpent, match=key.replace(".", r"\.")) as caught:
        reserve(costs, "b")
    assert "\n" not in str(caught.value)
    assert not costs.is_open("b")
    if "per_round" in key:
        reserve(costs, "b", number=2)
    elif "per_day" in key:
        tomorrow = book(folder, NOON + timedelta(hours=12), **caps)
        reserve(tomorrow, "b")
        tomorrow.close()
    costs.close()


def test_a_cap_that_is_used_up(folder: Path) -> None:
    costs = book(folder, usd=2.0, tokens_per_round=1000)
    assert costs.exhausted(1) == ""
    reserve(costs, "a", usd=1.0, number=1)
    assert costs.exhausted(1).startswith("1,000 tokens of 1,000 tokens") and costs.exhausted(2) == ""
    reserve(costs, "b", usd=1.0, number=2)
    assert costs.exhausted(3) == (
        "2.00 USD of 2.00 USD are spent in this campaign: raise budget.usd in config.json to go on"
    )
    costs.close()
    nothing = CostBook(folder / "other.jsonl", Caps(usd=0.0), lambda: NOON)
    reserve(nothing, "a", usd=0.0)
    assert nothing.exhausted(1) == "", "a cap of zero is enough for servers that cost nothing"
    nothing.close()


def test_a_torn_last_line_is_written_over(folder: Path) -> None:
    costs = book(folder)
    reserve(costs, "a")
    costs.close()
    path = folder / "costs.jsonl"
    whole = path.read_bytes()
    for cut in range(0, len(whole), 7):
        path.write_bytes(whole + whole[:cut])
        again = book(folder)
        assert again.open_ids() == ["a"]
        assert path.read_bytes() == whole + whole[:cut], "to look changes nothing"
        reserve(again, "b")
        again.close()
        assert [json.loads(line)["id"] for line in path.read_text().splitlines()] == ["a", "b"]


@pytest.mark.parametrize("line", ["{}", "[1]", "nonsense", '{"event": "settle", "id": "z"}', '{"event": "release"}'])
def test_a_damaged_line_needs_a_person(folder: Path, line: str) -> None:
    costs = book(folder)
    reserve(costs, "a")
    costs.close()
    path = folder / "costs.jsonl"
    path.write_text(line + "\n" + path.read_text())
    with pytest.raises(ModelUnusable, match="line 1 is damaged"):
        book(folder)


def test_an_id_that_comes_again_leaves_the_earlier_spent(folder: Path) -> None:
    costs = book(folder, usd=2.5)
    reserve(costs, "a")
    reserve(costs, "a")
    costs.settle("a", Usage(input=1), 0.25, "config")
    costs.settle("a", Usage(input=1), 0.5, "config")
    assert (costs.totals().usd, costs.totals().unanswered_usd, costs.totals().requests) == (1.25, 1.0, 2)
    assert book(folder).totals() == costs.totals()
    costs.close()


class Provider:
    """What really was billed, counted apart from the book."""

    def __init__(self) -> None:
        self.bills: list[tuple[str, int, float, int]] = []

    def bill(self, day: str, number: int, usd: float, tokens: int, caps: Caps) -> None:
        self.bills.append((day, number, usd, tokens))
        spans = {
            "campaign": self.bills,
            "day": [bill for bill in self.bills if bill[0] == day],
            "round": [bill for bill in self.bills if bill[1] == number],
        }
        for span, bills in spans.items():
            for kind, column in (("usd", 2), ("tokens", 3)):
                cap = caps.of(kind)[span]
                assert cap is None or sum(bill[column] for bill in bills) <= cap + 1e-9, (span, kind)


def random_caps(dice: random.Random) -> Caps:
    def some(scale: float) -> float | None:
        return dice.choice([None, scale * dice.uniform(0.3, 3.0)])

    money, tokens = ([some(scale) for scale in scales] for scales in ((4.0, 2.0, 1.0), (8e5, 4e5, 2e5)))
    return Caps(*money, *(None if cap is None else int(cap) for cap in tokens))


def random_usage(dice: random.Random, most: int, limit: int) -> Usage:
    """Anything up to what was reserved; often all of it, at the dearest class."""
    if dice.random() < 0.4:
        return Usage(cache_write=most, output=limit)
    read, written = sorted(dice.randint(0, most) for _ in range(2))
    return Usage(input=most - written, cache_read=read, cache_write=written - read, output=dice.randint(0, limit))


def play(folder: Path, seed: int) -> tuple[int, int]:
    """One campaign of requests, kills and edits of the caps; (billed, refused) requests."""
    dice = random.Random(seed)
    clock = [NOON]
    provider, caps, number, refused = Provider(), random_caps(dice), 1, 0
    path = folder / f"{seed}.jsonl"

    def opened() -> CostBook:
        return CostBook(path, caps, lambda: clock[0])

    costs = opened()
    for request in range(dice.randint(5, 40)):
        clock[0] += timedelta(minutes=dice.randint(0, 240))
        number += dice.random() < 0.2
        if dice.random() < 0.05:
            costs.caps = caps = random_caps(dice)
        id, most, limit = f"builder/1/{request}", dice.randint(1000, 60_000), dice.randint(1024, 8000)
        try:
            reserve(costs, id, PRICE.worst(most, limit), most + limit, number)
        except BudgetSpent:
            refused += 1
            continue
        fate = dice.choice(["answered", "answered", "refused", "unsent", "killed", "killed before settling", "broken"])
        if fate == "refused":
            costs.release(id, "429")
            continue
        if fate != "unsent":
            usage = random_usage(dice, most, limit)
            usd = PRICE.cost(usage)
            provider.bill(clock[0].date().isoformat(), number, usd, usage.total, caps)
        if fate in ("answered", "broken"):
            costs.settle(id, usage, usd, "config")
            continue
        costs.close()
        if dice.random() < 0.5:
            with path.open("ab") as file:
                file.write(b'{"event": "settle", "id": "builder/1/'[: dice.randint(1, 30)])
        costs = opened()
        assert costs.is_open(id)
        if fate == "killed before settling":
            costs.settle(id, usage, usd, "config")
    assert costs.totals().usd >= sum(bill[2] for bill in provider.bills) - 1e-9
    costs.close()
    return len(provider.bills), refused


def test_no_cap_is_exceeded_in_200_random_campaigns(folder: Path) -> None:
    results = [play(folder, seed) for seed in range(200)]
    billed, refused = (sum(column) for column in zip(*results, strict=True))
    assert billed > 1000, "the campaigns did play"
    assert refused > 1000, "and did reach their caps"


def test_totals_are_exact_when_every_answer_is_settled(folder: Path) -> None:
    dice = random.Random(1)
    costs, usages = book(folder), []
    for request in range(50):
        reserve(costs, str(request), 5.0)
        usages.append(random_usage(dice, 10_000, 1000))
        costs.settle(str(request), usages[-1], PRICE.cost(usages[-1]), "config")
        if dice.random() < 0.3:
            costs.close()
            costs = book(folder)
    assert costs.totals().usd == pytest.approx(sum(map(PRICE.cost, usages)), abs=1e-12)
    assert costs.totals().tokens == sum(usage.total for usage in usages)
    costs.close()
