"""Who calls: Basic with a key, Bearer with a token; tokens introspected and refreshed."""

from __future__ import annotations

import base64
import binascii
from datetime import timedelta
from typing import Any

from tests.kaggle_server.site import Site
from tests.kaggle_server.wire import Call, Refusal, rpc

OPEN = frozenset(
    {
        "security.OAuthService/IntrospectToken",
        "competitions.CompetitionApiService/ListCompetitions",
        "competitions.CompetitionApiService/GetCompetition",
        "competitions.CompetitionApiService/ListCompetitionPages",
        "competitions.CompetitionApiService/ListCompetitionTopics",
        "competitions.CompetitionApiService/ListTopicMessages",
        "users.AccountService/GenerateAccessToken",
    }
)
"""Methods that answer people who are not signed in."""


def user_of(site: Site, method: str, authorization: str) -> str:
    """Raises Refusal with 401 for credentials that are wrong, and for none where some are needed."""
    kind, _, value = authorization.partition(" ")
    user = ""
    if kind.lower() == "bearer":
        user = _by_token(site, value)
    elif kind.lower() == "basic":
        user = _by_key(site, value)
    if not user and method not in OPEN:
        raise Refusal(401, "Unauthenticated")
    if not user and authorization and not method.startswith("security."):
        raise Refusal(401, "Unauthenticated")
    return user


def _by_token(site: Site, token: str) -> str:
    return next((name for name, user in site.users.items() if token and user.get("token") == token), "")


def _by_key(site: Site, value: str) -> str:
    try:
        name, _, key = base64.b64decode(value).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return ""
    # an access token is also taken in the place of a key
    return name if key and key in (site.users.get(name, {}).get("key"), site.users.get(name, {}).get("token")) else ""


@rpc("security.OAuthService", "IntrospectToken")
def introspect(site: Site, call: Call) -> dict[str, Any]:
    user = _by_token(site, call.text("token"))
    if not user:
        return {"active": False}
    expires = int((site.now() + timedelta(days=30)).timestamp())
    return {"active": True, "username": user, "userId": 4_000_000, "scope": "resources.all:*", "exp": expires}


@rpc("users.AccountService", "GenerateAccessToken")
def generate(site: Site, call: Call) -> dict[str, Any]:
    for name, user in site.users.items():
        if user.get("refresh") and call.text("refreshToken") == user["refresh"]:
            return {"token": user["token"], "expiresIn": 10_800, "userName": name, "userId": 4_000_000}
    raise Refusal(401, "Unauthenticated")
