"""What a person may call a competition, and what is no competition's name."""

from __future__ import annotations

import pytest

from orchestrator.competitions.kaggle.slug import slug_of, url_of
from orchestrator.errors import BadInput


@pytest.mark.parametrize(
    "text",
    [
        "titanic",
        " titanic ",
        "https://www.kaggle.com/competitions/titanic",
        "https://www.kaggle.com/competitions/titanic/",
        "https://www.kaggle.com/competitions/titanic/data?select=train.csv",
        "https://www.kaggle.com/competitions/titanic#evaluation",
        "http://kaggle.com/c/titanic/overview",
        "kaggle.com/c/titanic",
        "HTTPS://WWW.KAGGLE.COM/competitions/titanic",
    ],
)
def test_every_way_to_name_a_competition(text: str) -> None:
    assert slug_of(text) == "titanic"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "..",
        "../x",
        "a/../../x",
        "/etc/passwd",
        "Titanic",
        "a_b",
        "a.b",
        "-rf",
        "titanic\n",
        "titanic\n../x",
        "tit\0anic",
        "a" * 101,
        "tïtanic",
        "titan​ic",
        "$(id)",
        "a;b",
        "%2e%2e",
        "~root",
        "https://www.kaggle.com/competitions/",
        "https://www.kaggle.com/competitions/..",
        "https://www.kaggle.com/competitions/../../x",
        "https://www.kaggle.com/competitions/%2e%2e/x",
        "https://www.kaggle.com/datasets/titanic",
        "https://www.kaggle.com.evil.org/competitions/titanic",
        "https://evil.org/https://www.kaggle.com/competitions/titanic",
        "https://user@evil.org/competitions/titanic",
        "file:///etc/competitions/titanic",
        "javascript:alert(1)",
    ],
)
def test_no_competition(text: str) -> None:
    with pytest.raises(BadInput) as caught:
        slug_of(text)
    assert (
        "\n" not in str(caught.value) and "\0" not in str(caught.value) and "/competitions/titanic" in str(caught.value)
    )


def test_pages() -> None:
    assert url_of("titanic", "rules") == "https://www.kaggle.com/competitions/titanic/rules"
    assert slug_of(url_of("titanic")) == "titanic"
