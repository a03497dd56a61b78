"""What others publish about a competition on Kaggle: how each kind is listed, read and compared with before."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any, Protocol

from orchestrator.competitions.kaggle.reading import bounded, line, message_text, notebook_text
from orchestrator.competitions.kaggle.records import Message, NotebookInfo, NotebookSource, TopicInfo
from orchestrator.competitions.kaggle.slug import HOST, url_of

LISTED = 10
"""Items of each order."""
FILE_CHARS = 40_000
MESSAGES = 40
"""Of a discussion; the first, then the best liked."""
GROWN = 1.25
"""A discussion with so many times the messages is read again."""

Item = dict[str, Any]


class Client(Protocol):
    """The calls of `KaggleClient` that reading takes."""

    def notebooks(self, slug: str, sort: str, count: int) -> list[NotebookInfo]: ...

    def notebook_source(self, ref: str) -> NotebookSource: ...

    def topics(self, slug: str, sort: str = "top", page: int = 1) -> list[TopicInfo]: ...

    def topic_messages(self, slug: str, topic: int) -> list[Message]: ...


class Kind(Protocol):
    """One kind of item: how it is listed and read. Both raise CompetitionError."""

    name: str

    def listing(self) -> list[Item]:
        """{"id", "key", "title", "link", "author", "votes", "date", "why"}, the most wanted first."""
        ...

    def text(self, item: Item) -> tuple[str, str]:
        """(text, licence)."""
        ...

    def is_new(self, item: Item, known: Item) -> bool:
        """Whether what was read before is no longer what stands there."""
        ...

    def news(self, text: str, before: str) -> str:
        """What of a text was not told before."""
        ...


class Notebooks:
    name = "notebook"

    def __init__(self, client: Client, slug: str, maximize: bool | None) -> None:
        self._client, self._slug = client, slug
        self._best = "scoreAscending" if maximize is False else "scoreDescending"

    def listing(self) -> list[Item]:
        orders = {"by votes": "voteCount", "by score": self._best}
        found = {why: self._client.notebooks(self._slug, sort, LISTED) for why, sort in orders.items()}
        return _merged({why: [self._item(one) for one in notebooks] for why, notebooks in found.items()})

    def text(self, item: Item) -> tuple[str, str]:
        source = self._client.notebook_source(item["id"])
        return notebook_text(source, FILE_CHARS), "not told by Kaggle's client"

    def is_new(self, item: Item, known: Item) -> bool:
        return bool(item["key"] != known["key"])

    def news(self, text: str, before: str) -> str:
        return text

    def _item(self, one: NotebookInfo) -> Item | None:
        if not re.fullmatch(r"[\w-]{1,80}/[\w-]{1,120}", one.ref, re.ASCII):
            return None
        link, when = f"{HOST}/code/{one.ref}", one.last_run
        key = when.isoformat() if when else ""
        return {"id": one.ref, "key": key, "link": link, **_told(one.title, one.author, one.votes, when)}


class Discussions:
    name = "discussion"

    def __init__(self, client: Client, slug: str) -> None:
        self._client, self._slug = client, slug

    def listing(self) -> list[Item]:
        orders = {"by votes": ("top", LISTED), "newly active": ("active", LISTED // 2)}
        found = {why: self._client.topics(self._slug, sort)[:most] for why, (sort, most) in orders.items()}
        return _merged({why: [self._item(one) for one in topics] for why, topics in found.items()})

    def text(self, item: Item) -> tuple[str, str]:
        messages = self._client.topic_messages(self._slug, int(item["id"]))
        liked = sorted(range(1, len(messages)), key=lambda place: (-messages[place].votes, place))[: MESSAGES - 1]
        chosen = [message for place, message in enumerate(messages) if place == 0 or place in liked]
        more = len(messages) - len(chosen)
        parts = [message_text(message) for message in chosen] + [f"… and {more} more messages"] * bool(more)
        return bounded("\n\n".join(parts), FILE_CHARS), "its authors'"

    def is_new(self, item: Item, known: Item) -> bool:
        return bool(item["key"] > max(known["key"] * GROWN, known["key"] + 2))

    def news(self, text: str, before: str) -> str:
        parts = re.split(r"\n\n(?=\[)", text)
        return "\n\n".join(part for part in parts if part not in before)

    def _item(self, one: TopicInfo) -> Item | None:
        link = url_of(self._slug, f"discussion/{int(one.id)}")
        told = _told(one.title, one.author, one.votes, one.posted)
        return {"id": str(int(one.id)), "key": int(one.comments), "link": link, **told}


def _told(title: str, author: str, votes: int, when: datetime | None) -> Item:
    """What every kind tells of an item, each on one line."""
    date = f"{when:%Y-%m-%d}" if when else "unknown"
    return {"title": line(title, 120), "author": line(author, 60), "votes": int(votes), "date": date}


def _merged(orders: dict[str, list[Item | None]]) -> list[Item]:
    """The items of several orders, by turns, each once, with its place in each."""
    found: dict[str, Item] = {}
    places: dict[str, list[str]] = {}
    for why, items in orders.items():
        for place, item in enumerate(items, 1):
            if item is not None:
                places.setdefault(item["id"], []).append(f"number {place} {why}")
    for place in range(max((len(items) for items in orders.values()), default=0)):
        for items in orders.values():
            item = items[place] if place < len(items) else None
            if item is not None:
                found.setdefault(item["id"], {**item, "why": ", ".join(places[item["id"]])})
    return list(found.values())
