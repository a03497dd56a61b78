"""Kaggle's credentials in every form that people have, brought into one.

Looked for in this order, each a candidate that is tried in turn:
1. the campaign's own `.env`, 2. the shell: `KAGGLE_API_TOKEN` (a token, the path of a file, or the JSON of older
guides), `KAGGLE_USERNAME` with `KAGGLE_KEY`, 3. files: `access_token`, `access_token.txt`, `kaggle.json`,
`credentials.json` in `KAGGLE_CONFIG_DIR`, `~/.kaggle` or `~/.config/kaggle`.
"""

from __future__ import annotations

import base64
import json
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

PASSED_ON = (
    "KAGGLE_API_ENVIRONMENT", "http_proxy", "https_proxy", "all_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY",
    "ALL_PROXY", "NO_PROXY", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR", "PATH",
    "LD_LIBRARY_PATH", "SYSTEMROOT",
)  # fmt: skip
"""All that the client's process sees of the environment: how to reach Kaggle, and nothing that is secret."""
TOKEN_FILES = ("access_token", "access_token.txt")
TOKEN_PREFIX = "KGAT_"
MOST_BYTES = 1 << 16
SETTINGS = "https://www.kaggle.com/settings/api"
SHORTEST_SECRET = 12
"""Kaggle's are longer; a word such as "test" must not vanish from what Kaggle says."""


@dataclass(frozen=True)
class Credential:
    """token: `secret` alone; key: with `username`; oauth: `secret` is the whole JSON of credentials.json."""

    kind: Literal["token", "key", "oauth"]
    source: str
    """Where it stands, to be shown."""
    secret: str
    username: str = ""

    def __repr__(self) -> str:
        return f"Credential({self.kind} of {self.source})"


@dataclass(frozen=True)
class Credentials:
    """The candidates, and what was found that can't be one: sentences, each with its fix."""

    found: tuple[Credential, ...] = ()
    problems: tuple[str, ...] = ()
    user_base: str = ""

    def environment(self, private: Path, base: Mapping[str, str]) -> dict[str, str]:
        """The whole environment of the client's process: `private` is its home, an empty folder of its own."""
        kept = {name: base[name] for name in PASSED_ON if base.get(name)}
        own = {
            "HOME": str(private),
            "TMPDIR": str(private),
            "KAGGLE_CONFIG_DIR": str(private / ".kaggle"),
            "LANG": "C.UTF-8",
            "PYTHONUTF8": "1",
        }
        return {**kept, **own, **({"PYTHONUSERBASE": self.user_base} if self.user_base else {})}

    def redact(self, text: str) -> str:
        """`text` with every secret blacked out, however it is written."""
        for secret in sorted(self._secrets(), key=len, reverse=True):
            text = text.replace(secret, "***")
        return text

    def _secrets(self) -> set[str]:
        found: set[str] = set()
        for one in self.found:
            if one.kind == "oauth":
                record = json.loads(one.secret)
                found |= {str(record.get(name) or "") for name in ("refresh_token", "access_token")}
            else:
                found.add(one.secret)
            if one.username:
                found.add(base64.b64encode(f"{one.username}:{one.secret}".encode()).decode())
        return {secret for secret in found if len(secret) >= SHORTEST_SECRET}


def find(environment: Mapping[str, str] = os.environ, own: Mapping[str, str] | None = None) -> Credentials:
    """All candidates; `own` are the variables of the campaign's `.env`. The home is `environment`'s. Never raises."""
    import site

    problems: list[str] = []
    found = [*_variables(own or {}, "the campaign's .env", problems), *_variables(environment, "", problems)]
    home = Path(environment.get("HOME") or Path.home())
    given = environment.get("KAGGLE_CONFIG_DIR")
    for folder in [Path(given).expanduser()] if given else [home / ".kaggle", home / ".config" / "kaggle"]:
        found += _files(folder, environment, problems)
    if given:
        found += _tokens(home / ".kaggle", problems)  # the client looks for these in no other place
    unique = {(one.kind, one.username, one.secret): one for one in reversed(found)}
    candidates = tuple(one for one in found if unique[one.kind, one.username, one.secret] is one)
    return Credentials(candidates, tuple(problems), site.getuserbase() if site.ENABLE_USER_SITE else "")


def _variables(variables: Mapping[str, str], where: str, problems: list[str]) -> Iterator[Credential]:
    def named(name: str) -> str:
        return f"{name} in {where}" if where else f"the variable {name}"

    if text := variables.get("KAGGLE_API_TOKEN", "").strip():
        yield from _token_variable(text, named("KAGGLE_API_TOKEN"), problems)
    user, key = variables.get("KAGGLE_USERNAME", "").strip(), variables.get("KAGGLE_KEY", "").strip()
    if key and (user or key.startswith(TOKEN_PREFIX)):
        yield from _key(user, key, named("KAGGLE_KEY"), problems)
    notebook = variables.get("KAGGLE_API_V1_TOKEN", "")
    if notebook and variables.get("KAGGLE_KERNEL_RUN_TYPE"):
        yield from _token(_text(Path(notebook), problems), notebook, problems)


def _token_variable(text: str, source: str, problems: list[str]) -> Iterator[Credential]:
    if text.startswith("{"):
        yield from _json(text, source, {}, problems)
        return
    path = Path(text).expanduser()
    if text.startswith(("/", "~", "./", "../")) or os.path.exists(path):
        content = _text(path, problems, needed=f"{source} names it")
        if content.startswith("{"):
            yield from _json(content, str(path), {}, problems)
        elif content:
            yield from _token(content, str(path), problems)
        return
    yield from _token(text, source, problems)


def _files(folder: Path, environment: Mapping[str, str], problems: list[str]) -> Iterator[Credential]:
    yield from _tokens(folder, problems)
    if text := _text(folder / "kaggle.json", problems):
        yield from _json(text, str(folder / "kaggle.json"), environment, problems)
    if text := _text(folder / "credentials.json", problems):
        record = _object(text)
        if record.get("refresh_token"):
            yield Credential("oauth", str(folder / "credentials.json"), text, "")


def _tokens(folder: Path, problems: list[str]) -> Iterator[Credential]:
    for name in TOKEN_FILES:
        text = _text(folder / name, problems)
        if text.startswith("{"):
            yield from _json(text, str(folder / name), {}, problems)
        elif text:
            yield from _token(text, str(folder / name), problems)


def _json(text: str, source: str, over: Mapping[str, str], problems: list[str]) -> Iterator[Credential]:
    """A username and a key; `over` are variables that replace either of them."""
    record = _object(text)
    user = over.get("KAGGLE_USERNAME", "").strip() or str(record.get("username") or "").strip()
    key = over.get("KAGGLE_KEY", "").strip() or str(record.get("key") or record.get("token") or "").strip()
    if not key or not (user or key.startswith(TOKEN_PREFIX)):
        problems.append(f"{source} is not the JSON of a key, with username and key: download it again at {SETTINGS}")
        return
    yield from _key(user, key, source, problems)


def _key(user: str, key: str, source: str, problems: list[str]) -> Iterator[Credential]:
    if key.startswith(TOKEN_PREFIX):  # newer tokens in the place of a key are tokens all the same
        yield from _token(key, source, problems)
    elif _is_plain(user) and _is_plain(key):
        yield Credential("key", source, key, user)
    else:
        problems.append(f"{source} holds blanks or control characters: copy the key again")


def _token(text: str, source: str, problems: list[str]) -> Iterator[Credential]:
    if not text:
        return
    if not _is_plain(text):
        problems.append(f"{source} holds more than one token, or other text: leave the token alone in it")
        return
    yield Credential("token", source, text)


def _is_plain(text: str) -> bool:
    return text.isascii() and text.isprintable() and " " not in text


def _object(text: str) -> dict[str, Any]:
    try:
        record = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return record if isinstance(record, dict) else {}


def _text(path: Path, problems: list[str], needed: str = "") -> str:
    """A small regular file's text without blanks around it; empty when there is none or it can't be read."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(handle, "rb") as file:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise OSError("it is no regular file")
            data = file.read(MOST_BYTES + 1)
        if len(data) > MOST_BYTES:
            raise OSError("it is far too long")
        return data.decode("utf-8-sig").strip()
    except FileNotFoundError:
        if needed:
            problems.append(f"{path} is not there, though {needed}: correct the path")
    except (OSError, ValueError) as error:
        problems.append(f"{path} can't be read ({getattr(error, 'strerror', None) or error}): correct or remove it")
    return ""
