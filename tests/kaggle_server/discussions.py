"""Topics and their messages: a competition's own, and the forums that hold the topics of all."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.kaggle_server.site import Competition, Site
from tests.kaggle_server.wire import Call, Refusal, paged, rpc

COMPETITIONS, FORUMS = "competitions.CompetitionApiService", "discussions.DiscussionApiService"
POSTED = "2024-05-01T10:00:00.0000000Z"
Topic = dict[str, Any]
"""As the control defines it: title, author, votes, posted, text, sticky, messages. A message: author, votes, posted,
text, deleted, pinned, replies."""


@rpc(COMPETITIONS, "ListCompetitionTopics")
def competition_topics(site: Site, call: Call) -> dict[str, Any]:
    competition = site.competition(call.text("competitionName"))
    found = _sorted(list(_numbered(competition)), call.text("sortBy"))
    page, _ = paged(found, call)
    topics = []
    for number, topic in page:
        shown = _head(competition, number, topic) | {"topicUrl": _url(competition, number)}
        topics.append({**shown, "lastCommentPostDate": shown["postDate"], "isSticky": topic.get("sticky", False)})
    return {"topics": topics, "totalCount": len(found)}


@rpc(COMPETITIONS, "ListTopicMessages")
def topic_messages(site: Site, call: Call) -> dict[str, Any]:
    competition = site.competition(call.text("competitionName"))
    topic = dict(_numbered(competition)).get(call.number("topicId"))
    if topic is None:
        raise Refusal(404, "Topic not found")
    messages = _sorted(list(enumerate(topic.get("messages", []))), call.text("sortBy"))
    size = call.number("pageSize", 30)
    shown = messages if size < 0 else messages[:size]
    return {"messages": [_message(call.number("topicId") * 100 + place, message) for place, message in shown]}


@rpc(FORUMS, "ListForums")
def forums(site: Site, call: Call) -> dict[str, Any]:
    return {"forums": [{"id": 1, "name": "Getting Started", "url": "/discussions", "subtitle": "The first stop"}]}


@rpc(FORUMS, "ListTopics")
def topics(site: Site, call: Call) -> dict[str, Any]:
    words = call.text("searchQuery").lower()
    found = [
        (competition, number, topic)
        for competition in site.competitions.values()
        for number, topic in _sorted(list(_numbered(competition)), call.text("sortBy"))
        if words in topic["title"].lower()
    ]
    page, token = paged(found, call)
    return {"topics": [_topic(*place) for place in page], "totalCount": len(found), "nextPageToken": token}


@rpc(FORUMS, "GetTopic")
def topic(site: Site, call: Call) -> dict[str, Any]:
    competition, found = _anywhere(site, call.number("id"))
    return {"topic": _topic(competition, call.number("id"), found)}


@rpc(FORUMS, "ListComments")
def comments(site: Site, call: Call) -> dict[str, Any]:
    number = call.number("topicId")
    _, found = _anywhere(site, number)
    page, token = paged(list(enumerate(found.get("messages", []))), call)
    return {"comments": [_comment(number * 100 + place, message) for place, message in page], "nextPageToken": token}


def _numbered(competition: Competition) -> Iterator[tuple[int, Topic]]:
    for place, topic in enumerate(competition.topics):
        yield topic.get("id", competition.number * 1000 + place), topic


def _anywhere(site: Site, number: int) -> tuple[Competition, Topic]:
    for competition in site.competitions.values():
        found = dict(_numbered(competition)).get(number)
        if found is not None:
            return competition, found
    raise Refusal(404, "Topic not found")


def _sorted(items: list[tuple[int, Any]], order: str) -> list[tuple[int, Any]]:
    if order.endswith("_TOP"):
        return sorted(items, key=lambda item: -int(item[1].get("votes", 0)))
    if order.endswith(("_NEW", "_RECENT", "_ACTIVE", "_OLD")):
        newest = not order.endswith("_OLD")
        return sorted(items, key=lambda item: str(item[1].get("posted", POSTED)), reverse=newest)
    return items


def _url(competition: Competition, number: int) -> str:
    return f"https://www.kaggle.com/competitions/{competition.slug}/discussion/{number}"


def _head(competition: Competition, number: int, topic: Topic) -> dict[str, Any]:
    return {
        "id": number,
        "title": topic["title"],
        "authorName": topic.get("author", "someone"),
        "commentCount": len(topic.get("messages", [])),
        "votes": topic.get("votes", 0),
        "postDate": topic.get("posted", POSTED),
    }


def _topic(competition: Competition, number: int, topic: Topic) -> dict[str, Any]:
    rest = {"url": _url(competition, number), "forumName": competition.slug, "forumId": competition.number}
    head = _head(competition, number, topic)
    return {**head, **rest, "lastCommentDate": head["postDate"], "authorUrl": "/x", "content": topic.get("text", "")}


def _message(number: int, message: dict[str, Any]) -> dict[str, Any]:
    replies = message.get("replies", [])
    return {
        **_comment(number, message),
        "rawMarkdown": message["text"],
        "isDeleted": message.get("deleted", False),
        "isPinned": message.get("pinned", False),
        "replies": [_message(number * 10 + place, reply) for place, reply in enumerate(replies)],
    }


def _comment(number: int, message: dict[str, Any]) -> dict[str, Any]:
    replies = message.get("replies", [])
    return {
        "id": number,
        "authorName": message.get("author", "someone"),
        "postDate": message.get("posted", POSTED),
        "content": f"<p>{message['text']}</p>",
        "votes": message.get("votes", 0),
        "replies": [_comment(number * 10 + place, reply) for place, reply in enumerate(replies)],
    }
