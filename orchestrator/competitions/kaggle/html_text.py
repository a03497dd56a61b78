"""A page's HTML as the Markdown that the other pages are written in: headings, lists, tables, code; no scripts."""

from __future__ import annotations

import re
from html.parser import HTMLParser

MOST_CHARS = 200_000
_TAGS = re.compile(r"</?(p|div|h[1-6]|br|ul|ol|li|table|tr|td|pre|code|strong|em|b|i|a|img|span|section)\b[^>]*>", re.I)
_BLOCKS = {"p", "div", "section", "article", "ul", "ol", "table", "blockquote", "header", "footer", "figure"}
_SILENT = {"script", "style", "head", "template", "noscript"}


def as_text(page: str) -> str:
    """A page of HTML or Markdown as Markdown, cut to `MOST_CHARS`; what is Markdown already stays as it is."""
    page = page[:MOST_CHARS].replace("\r\n", "\n").replace("\0", "")
    if len(_TAGS.findall(page)) < 2:
        return page.strip()
    writer = _Writer()
    writer.feed(page)
    writer.close()
    lines = [line.rstrip() for line in "".join(writer.parts).split("\n")]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


class _Writer(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._silent = 0
        self._literal = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _SILENT:
            self._silent += 1
        elif re.fullmatch(r"h[1-6]", tag):
            self.parts.append(f"\n\n{'#' * int(tag[1])} ")
        elif tag == "pre":
            self._literal += 1
            self.parts.append("\n\n```\n")
        elif tag == "li":
            self.parts.append("\n- ")
        elif tag in ("br", "tr"):
            self.parts.append("\n")
        elif tag in ("td", "th"):
            self.parts.append(" | ")
        elif tag in _BLOCKS:
            self.parts.append("\n\n")

    def handle_endtag(self, tag: str) -> None:
        if tag in _SILENT:
            self._silent = max(0, self._silent - 1)
        elif tag == "pre" and self._literal:
            self._literal -= 1
            self.parts.append("\n```\n\n")
        elif tag in _BLOCKS or re.fullmatch(r"h[1-6]", tag):
            self.parts.append("\n\n")

    def handle_data(self, data: str) -> None:
        if self._silent:
            return
        self.parts.append(data if self._literal else re.sub(r"\s+", " ", data))
