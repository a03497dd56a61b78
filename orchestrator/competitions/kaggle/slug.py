"""Which competition a person means: a slug, or any page of it on kaggle.com."""

from __future__ import annotations

import re

from orchestrator.errors import BadInput

HOST = "https://www.kaggle.com"
_SLUG = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,98}[a-z0-9])?")
_PAGE = re.compile(r"(?:https?://)?(?:www\.)?kaggle\.com/(?:competitions|c)/([^/?#]*)(?:[/?#].*)?", re.IGNORECASE)


def slug_of(text: str) -> str:
    """The slug in `titanic` or `https://www.kaggle.com/competitions/titanic/overview`.

    Raises BadInput for anything else; what comes back is safe as the name of a folder.
    """
    page = _PAGE.fullmatch(text.strip(" "))
    slug = page[1] if page else text.strip(" ")
    if _SLUG.fullmatch(slug):
        return slug
    shown = repr(text if len(text) <= 120 else text[:120] + "…")
    if "kaggle.com" in text.lower() and not page:
        raise BadInput(f"{shown} is no competition's page: give one such as {HOST}/competitions/titanic")
    raise BadInput(
        f"{shown} is no competition: a slug has small letters, digits and hyphens, as in {HOST}/competitions/titanic"
    )


def url_of(slug: str, page: str = "") -> str:
    """A page of a competition: `rules`, `data`, the overview without a name."""
    return f"{HOST}/competitions/{slug}{'/' * bool(page)}{page}"
