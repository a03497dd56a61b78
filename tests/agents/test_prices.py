"""What a request costs: the tables' figures, config.json's, and zero only for a server of one's own."""

from __future__ import annotations

import pytest

from agents.errors import ModelUnusable
from agents.prices import Usage, is_local, price_of

MILLION = 1_000_000


def test_the_tables_by_class_and_lifetime_of_the_cache() -> None:
    price = price_of("claude-opus-5-5", "anthropic", None, None, "agents.builder")
    assert (price.source, price.step, price.window) == ("genai-prices", None, 1_000_000)
    usage = Usage(input=MILLION, cache_read=MILLION, cache_write=MILLION, output=MILLION)
    assert price.cost(usage) == pytest.approx(4 + 0.2 + 5 + 20)
    assert price.cost(usage, "1h") == pytest.approx(4 + 0.2 + 8 + 20)
    assert price.cost(Usage(searches=3)) == pytest.approx(0.03)
    assert price.worst(MILLION, 1000) == pytest.approx(5.02)


def test_a_price_step_holds_for_the_whole_request() -> None:
    price = price_of("claude-haiku-5-5", "anthropic", None, None, "agents.builder")
    assert price.step == 100_000
    below, above = (price.cost(Usage(input=tokens)) for tokens in (100_000, 100_001))
    assert (below, above) == (pytest.approx(0.01), pytest.approx(0.05, rel=1e-4))
    assert price.cost(Usage(input=1, cache_read=100_000)) == pytest.approx(0.005, rel=1e-3)
    doubled = price_of("gpt-6.1-sol", "openai", None, None, "agents.builder")
    assert doubled.step == 272_000


def test_a_price_from_the_configuration_wins() -> None:
    price = price_of("claude-opus-5-5", "anthropic", None, {"input": 1.0, "output": 2.0}, "agents.builder")
    assert (price.source, price.window) == ("config", 1_000_000)
    usage = Usage(input=MILLION, cache_read=MILLION, cache_write=MILLION, output=MILLION)
    assert price.cost(usage) == pytest.approx(1 + 1 + 1.25 + 2)
    assert price.cost(usage, "1h") == pytest.approx(1 + 1 + 2 + 2)
    assert price.cost(Usage(input=1, searches=2)) == pytest.approx(0.02, rel=1e-3)
    full = {"input": 1.0, "output": 2.0, "cache_read": 0.1, "cache_write": 3.0}
    assert price_of("x", "openai", "https://proxy.example/v1", full, "a").cost(usage) == pytest.approx(6.1)
    free = price_of("x", "openai", "https://mine.example", {"input": 0.0, "output": 0.0}, "a")
    assert free.cost(Usage(MILLION, MILLION, MILLION, MILLION, 5)) == 0


def test_an_unknown_model_names_the_key_to_set() -> None:
    for base_url in (None, "https://proxy.example/v1"):
        with pytest.raises(ModelUnusable, match=r"agents\.builder\.price"):
            price_of("my-own-model", "openai", base_url, None, "agents.builder")


def test_another_provider_behind_a_base_url_has_its_own_prices() -> None:
    price = price_of("anthropic/claude-sonnet-4.6", "openai", "https://openrouter.ai/api/v1", None, "agents.builder")
    assert price.cost(Usage(input=MILLION)) == pytest.approx(3.0)


@pytest.mark.parametrize(
    ("url", "local"),
    [
        ("http://localhost:11434/v1", True),
        ("http://127.0.0.1:8000", True),
        ("http://[::1]:8000/v1", True),
        ("http://192.168.1.7:8000/v1", True),
        ("http://gpu.local/v1", True),
        ("http://ollama:11434/v1", True),
        ("https://api.openai.com/v1", False),
        ("http://8.8.8.8/v1", False),
        ("https://models.corp.internal/v1", False),
        ("https://localhost.example.com", False),
        ("api.openai.com/v1", False),
        ("", False),
    ],
)
def test_only_a_server_of_ones_own_costs_nothing(url: str, local: bool) -> None:
    assert is_local(url) is local
    if local:
        price = price_of("llama", "openai", url, None, "agents.builder")
        assert (price.source, price.worst(MILLION, MILLION)) == ("local", 0.0)


def test_the_worst_case_bounds_every_mixture() -> None:
    for model in ("claude-haiku-5-5", "claude-sonnet-5-5"):
        price = price_of(model, "anthropic", None, None, "agents.builder")
        for ttl in ("5m", "1h"):
            worst = price.worst(120_000, 4000, ttl)
            for read in range(0, 120_001, 20_000):
                for written in range(0, 120_001 - read, 20_000):
                    usage = Usage(120_000 - read - written, read, written, 4000)
                    assert price.cost(usage, ttl) <= worst + 1e-12
