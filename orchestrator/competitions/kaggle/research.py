"""What others publish about a competition, as text for the Researcher: public notebooks and discussions.

competition/research/
    notebooks.json, discussions.json   what was listed when, what was read in which round
    notebook_<owner>_<slug>.md         one item, as long as it is kept: head, then its text
    R05_notebooks.md                   what round 5 was told; asked again in that round, it is told the same

An item is told in full in the round that reads it and by name in later ones, until its author changes it. Each of
them stands between marks that it can't know, because all of it, the title too, is the words of strangers.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from agents.prompts import fence
from orchestrator.competitions.kaggle.errors import NotThere
from orchestrator.competitions.kaggle.published import Client, Discussions, Item, Kind, Notebooks
from orchestrator.competitions.kaggle.reading import bounded
from orchestrator.errors import CompetitionError
from orchestrator.files import atomic_write, read_json_or_none, sha256_bytes, write_json
from orchestrator.rounds import label
from orchestrator.show import one_line

REFRESH = timedelta(hours=6)
"""How long a list serves."""
READ_A_ROUND = 8
PAGE_ITEM_CHARS = 6_000
KEPT = 200
"""Items of a kind that stay on disk."""
_HEAD = ("title", "link", "author", "votes", "date", "licence", "why", "file")


class PublicResearch:
    """The two tools of the Researcher for one competition; `folder` is competition/research of its campaign."""

    def __init__(
        self, client: Client, slug: str, folder: Path, *, maximize: bool | None, now: Callable[[], datetime]
    ) -> None:
        self._slug, self._folder, self._now = slug, folder, now
        self._notebooks, self._discussions = Notebooks(client, slug, maximize), Discussions(client, slug)

    def notebooks(self, number: int) -> str:
        """The most voted and the best scoring public notebooks, as told in round `number`.

        Raises CompetitionError when Kaggle can't be asked and nothing was ever listed.
        """
        return self._page_of(self._notebooks, number)

    def discussions(self, number: int) -> str:
        """The most voted and the newly active discussions with their messages; else like `notebooks`."""
        return self._page_of(self._discussions, number)

    def _page_of(self, kind: Kind, number: int) -> str:
        page = self._folder / f"{label(number)}_{kind.name}s.md"
        if page.is_file() and page.stat().st_size:
            return page.read_text(encoding="utf-8", errors="replace")
        self._folder.mkdir(parents=True, exist_ok=True)
        index_path = self._folder / f"{kind.name}s.json"
        index = read_json_or_none(index_path) or {"listed": "", "list": [], "items": {}}
        trouble = self._refresh(kind, index)
        trouble = self._read(kind, index, number, trouble)
        self._forget(index)
        write_json(index_path, index)
        text = self._page(kind, index, number, trouble)
        if not trouble:
            for old in self._folder.glob(f"R*_{kind.name}s.md"):
                old.unlink(missing_ok=True)
            atomic_write(page, text)
        return text

    def _refresh(self, kind: Kind, index: dict[str, Any]) -> str:
        """Bring the list up to date when it is old; why that failed, or nothing."""
        now = self._now().astimezone(UTC)
        if index["listed"] and timedelta() <= now - datetime.fromisoformat(index["listed"]) < REFRESH:
            return ""
        try:
            found = kind.listing()
        except CompetitionError as error:
            if not index["listed"]:
                raise
            return f"the list is of {index['listed'][:16]}: {error}"
        index.update(listed=now.isoformat(timespec="seconds"), list=found)
        return ""

    def _read(self, kind: Kind, index: dict[str, Any], number: int, trouble: str) -> str:
        """Read some of what is new; an item that isn't there says so, other trouble ends the reading."""
        items, left = index["items"], READ_A_ROUND
        for item in index["list"]:
            known = items.get(item["id"])
            path = self._folder / _file_name(kind.name, item["id"])
            before = path.read_text(encoding="utf-8", errors="replace") if known and path.is_file() else ""
            if before and not kind.is_new(item, known):
                told = known["told"] if known["round"] == number else ""
                items[item["id"]] = {**known, "votes": item["votes"], "why": item["why"], "told": told}
            elif left and not trouble:
                left -= 1
                try:
                    text, licence = kind.text(item)
                except NotThere as error:
                    text, licence = f"(not readable: {one_line(error)})", "unknown"
                except CompetitionError as error:
                    trouble = f"reading stopped: {error}"
                    continue
                entry = {**item, "licence": licence, "file": path.name, "round": number}
                told = _told(kind, entry, text, known, before)
                atomic_write(path, f"{_head(entry)}\n\n{text}\n")
                items[item["id"]] = {**entry, "told": bounded(told, PAGE_ITEM_CHARS)}
        return trouble

    def _forget(self, index: dict[str, Any]) -> None:
        """Let go of the items that were read longest ago and stand on no list any more."""
        listed = {item["id"] for item in index["list"]}
        idle = sorted((e["round"], ref) for ref, e in index["items"].items() if ref not in listed)
        for _, ref in idle[: max(0, len(index["items"]) - KEPT)]:
            (self._folder / index["items"].pop(ref)["file"]).unlink(missing_ok=True)

    def _page(self, kind: Kind, index: dict[str, Any], number: int, trouble: str) -> str:
        parts = [f"Public {kind.name}s of {self._slug}, as listed at {index['listed'][:16].replace('T', ' ')} UTC."]
        parts += [f"Trouble: {one_line(trouble, 300)}."] if trouble else []
        named = []
        for item in index["list"]:
            entry = index["items"].get(item["id"])
            if entry is None:
                named.append(f"- not read yet: {_named(item)}")
            elif entry["round"] == number:
                parts.append(fence(entry["told"], kind.name))
            else:
                named.append(f"- seen in {label(entry['round'])}: {_named(entry)} | {_place(entry)}")
        parts += [fence("\n".join(named), f"{kind.name}s named before")] if named else []
        return "\n\n".join(parts if len(parts) > 1 else [*parts, "There are none."]) + "\n"


class Researched:
    """What a competition on Kaggle adds for the Researcher: mixed into the one that submits."""

    root: Path
    slug: str
    client: Any
    spec: Any

    def notebooks(self, number: int) -> str:
        return self._research().notebooks(number)

    def discussions(self, number: int) -> str:
        return self._research().discussions(number)

    def _research(self) -> PublicResearch:
        from orchestrator.competitions.metrics import metric_of

        maximize = metric_of(self.spec, self.root).maximize
        folder = self.root / "competition" / "research"
        return PublicResearch(self.client, self.slug, folder, maximize=maximize, now=lambda: datetime.now(UTC))


def _told(kind: Kind, entry: Item, text: str, known: Item | None, before: str) -> str:
    """The item in full, or what came since an earlier round told of it."""
    if known is None or not before or known["round"] == entry["round"]:
        return f"{_head(entry)}\n\n{text}"
    changed = f"again: seen in {label(known['round'])}, and this is what came since"
    return f"{_head(entry)}\n{changed}\n\n{kind.news(text, before)}"


def _head(entry: Item) -> str:
    told = {**entry, "file": _place(entry)}
    return "\n".join(f"{name}: {told[name]}" for name in _HEAD)


def _place(entry: Item) -> str:
    return f"competition/research/{entry['file']}"


def _named(item: Item) -> str:
    title = item["title"].replace("|", "/")
    return f"{title} | {item['link']} | {item['author'].replace('|', '/')} | {item['votes']} votes | {item['date']}"


def _file_name(kind: str, ref: str) -> str:
    """A name of its own for every item, whatever its ref holds."""
    return f"{kind}_{re.sub(r'[^a-z0-9-]+', '_', ref.lower())[:80]}_{sha256_bytes(ref.encode())[:6]}.md"
