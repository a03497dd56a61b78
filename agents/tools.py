"""The tools of a model session: files of the campaign that its role may see, the sandbox, the referee, the ledgers.

Nothing here trusts an argument. Results are bounded: the middle of a long one goes to a file that can be read in parts.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agents.prompts import fence
from agents.session import ROLES, Turn
from agents.shelf import Refused, Shelf, open_text, put

RESULT_CHARS = 12_000
"""What a result may take of the conversation."""
EXPERIMENT = "run_experiment"
Summarise = Callable[[Turn, str], str]
_LARGEST_EDITED = 1_000_000


@dataclass(frozen=True)
class Tool:
    name: str
    description: str
    parameters: Mapping[str, Mapping[str, Any]]
    """JSON schema of each argument."""
    optional: frozenset[str] = frozenset()
    roles: frozenset[str] = frozenset(ROLES)
    lent: bool = False
    """Done by a callable of the turn (`Turn.tools`), which only some phases lend."""
    foreign: bool = False
    """Its result was written by strangers."""

    def schema(self) -> dict[str, Any]:
        required = [name for name in self.parameters if name not in self.optional]
        schema = {"type": "object", "properties": dict(self.parameters), "required": required}
        return {
            "name": self.name,
            "description": self.description,
            "parameters": {**schema, "additionalProperties": False},
        }


def _text(description: str) -> dict[str, Any]:
    return {"type": "string", "description": description}


def _number(description: str) -> dict[str, Any]:
    return {"type": "integer", "description": description}


_PATH = _text("a path as the turn gives it, or relative to the campaign: rounds/R03_plan.md")
_NAME = _text("the short name (plan.md), or notes/<role>/<name>.md")
_RESEARCHER, _BUILDER = frozenset(("researcher",)), frozenset(("builder",))

TOOLS = (
    Tool(
        "list_files",
        "Names and sizes of the files below a folder of the campaign.",
        {"folder": _text('relative to the campaign; "." is all of it'), "pattern": _text("such as R07_*, or *.md")},
        optional=frozenset(("pattern",)),
    ),
    Tool(
        "read_file",
        "A text file, or the part of it from line `first` to line `last` (the first is 1). Long files come in parts.",
        {"path": _PATH, "first": _number("first line"), "last": _number("last line")},
        optional=frozenset(("first", "last")),
    ),
    Tool(
        "search_files",
        "The lines that hold a text, in all files below a folder. Case does not matter; a|b finds either text.",
        {"text": _text("what to look for, word for word"), "folder": _text('relative to the campaign; "." is all')},
    ),
    Tool(
        "write_file",
        "Write one of the files that this turn makes, or a note of your own. The whole text: what stood there is "
        "replaced. A text that is refused comes back with the reason.",
        {"name": _NAME, "text": _text("the whole text")},
    ),
    Tool(
        "edit_file",
        "Replace one passage of a file that this turn makes, or of a note of your own. The passage must stand there "
        "exactly once, letter for letter.",
        {"name": _NAME, "old": _text("the passage"), "new": _text("what replaces it")},
    ),
    Tool(
        "run_python",
        "Run a short program in the sandbox, to look at data or to try an idea. It finds what an experiment finds in "
        "fold 1: IN = sys.argv[1] holds train.parquet (with labels), valid.parquet and test.parquet (without), "
        "task.json, previous/, data/; OUT = sys.argv[2] is scratch. No network, no other files, nothing is kept: "
        "print what you want to know.",
        {"code": _text("the whole program"), "seconds": _number("time limit, 120 unless told, 600 at most")},
        optional=frozenset(("seconds",)),
        lent=True,
    ),
    Tool(
        EXPERIMENT,
        'Give experiment.py to the referee. "first": a trial on fold 1, which is recorded nowhere; a few of them a '
        'round. "all": the run that counts, the same script again costs nothing.',
        {"folds": {"type": "string", "enum": ["all", "first"], "description": "the run that counts, or a trial"}},
        roles=_BUILDER,
        lent=True,
    ),
    Tool(
        "registry",
        "What was tried, as a table: all of it, or by family, by status, the best few. With `round` one in full.",
        {
            "round": _number("one round in full"),
            "family": _text("such as lightgbm"),
            "status": {"type": "string", "enum": ["keep", "discard", "crash"], "description": "how it ended"},
            "top": _number("only so many, the best first"),
        },
        optional=frozenset(("round", "family", "status", "top")),
        lent=True,
    ),
    Tool(
        "results",
        "The last rows of results.tsv: one a round, with CV and leaderboard scores.",
        {"rows": _number("how many, 20 unless told")},
        optional=frozenset(("rows",)),
        lent=True,
    ),
    Tool("leaderboard", "The top of the leaderboard, our place, our scores.", {}, lent=True, foreign=True),
    Tool(
        "notebooks",
        "The competition's public notebooks, most voted and best scoring: new ones in full, those of earlier rounds by "
        "name, with the file that holds them.",
        {},
        roles=_RESEARCHER,
        lent=True,
        foreign=True,
    ),
    Tool(
        "discussions",
        "The competition's public discussions with their messages, told like the notebooks.",
        {},
        roles=_RESEARCHER,
        lent=True,
        foreign=True,
    ),
    Tool(
        "report",
        "End this turn with its one line, in the very words that the turn asks for. Call it alone, after all else.",
        {"line": _text("such as DONE, APPROVED, REVISE: why, CV_SCORE=0.123")},
    ),
)


class Toolbox:
    """The tools of one role in one campaign; `results` is the folder that long results go to whole.

    `summarise(turn, text)` tells what a long text says, or nothing: then the cut text stands alone.
    """

    def __init__(self, campaign: Path, role: str, results: Path, summarise: Summarise | None = None) -> None:
        self._summarise = summarise
        self._shelf = Shelf(campaign, role)
        self._results = results
        self._tools = {tool.name: tool for tool in TOOLS if role in tool.roles}

    def schemas(self) -> list[dict[str, Any]]:
        """{"name", "description", "parameters"} of each, always the same in the same order."""
        return [tool.schema() for tool in self._tools.values()]

    def call(self, turn: Turn, name: str, arguments: Mapping[str, Any], call_id: str) -> tuple[str, bool]:
        """(the result for the model, whether it is an error); what a model can ask for raises nothing."""
        try:
            tool = self._tools.get(name)
            if tool is None:
                raise Refused(f"there is no tool {name!r}: you have {', '.join(self._tools)}")
            arguments = _checked(tool, arguments)
            if tool.lent:
                text = _shown(self._lent(turn, name)(**arguments))
            else:
                text = getattr(self, f"_{name}")(turn, **arguments)
            text = self._bounded(turn, text, call_id)
        except (ValueError, KeyError, OSError, OverflowError) as error:
            return f"{type(error).__name__}: {error}"[:RESULT_CHARS], True
        return fence(text, name) if tool.foreign else text, False

    def _list_files(self, turn: Turn, folder: str, pattern: str = "*") -> str:
        return self._shelf.listing(folder, pattern)

    def _read_file(self, turn: Turn, path: str, first: int = 1, last: int | None = None) -> str:
        needs = turn.needs.items()
        found = self._shelf.find(path, [*turn.needs.values(), *turn.makes.values()])
        text = self._shelf.read(found, first, last)
        told = any(name.startswith("knowledge") and need.resolve() == found for name, need in needs)
        return fence(text, found.name) if told or self._shelf.is_foreign(found) else text

    def _search_files(self, turn: Turn, text: str, folder: str) -> str:
        found = self._shelf.search(text, folder)
        foreign = any(line.startswith(("competition/", "sessions/")) for line in found.splitlines())
        return fence(found, folder) if foreign else found

    def _write_file(self, turn: Turn, name: str, text: str) -> str:
        made = _made(turn, name)
        if made is not None:
            turn.write(made, text)
        else:
            self._shelf.write_note(name, text)
        return f"{name} is written, {len(text):,} characters"

    def _edit_file(self, turn: Turn, name: str, old: str, new: str) -> str:
        made = _made(turn, name)
        path = turn.makes[made] if made is not None else self._shelf.note(name)
        with open_text(path) as file:
            text = file.read(_LARGEST_EDITED).decode("utf-8")
        count = text.count(old) if old else 0
        if count != 1:
            raise Refused(f"the passage stands {count} times in {name}: give one that stands there exactly once")
        return self._write_file(turn, name, text.replace(old, new))

    def _report(self, turn: Turn, line: str) -> str:
        missing = [name for name, path in turn.makes.items() if not path.is_file() or path.stat().st_size == 0]
        if missing:
            raise Refused(f"this turn makes {', '.join(missing)}: write it first, then report")
        if not line.strip() or "\n" in line.strip():
            raise Refused("a report is one line of text")
        return "ok"

    def _lent(self, turn: Turn, name: str) -> Any:
        if name not in turn.tools:
            raise Refused(f"{name} is not available in this phase ({turn.phase})")
        return turn.tools[name]

    def _bounded(self, turn: Turn, text: str, call_id: str) -> str:
        """Head and tail, where all of it is, and what a cheap model says of it, which makes shorter ones do."""
        if len(text) <= RESULT_CHARS:
            return text or "(empty)"
        path = self._results / (re.sub(r"[^A-Za-z0-9_-]", "_", call_id)[:80] + ".txt")
        put(path, text)
        summary = self._summarise(turn, text) if self._summarise else ""
        shown = RESULT_CHARS // (6 if summary else 2)
        told = f"\n{summary}" if summary else ""
        return (
            f"{text[:shown]}\n… {len(text) - 2 * shown:,} characters are left out here; read_file gives all of it: "
            f"{path} …{told}\n{text[-shown:]}"
        )


def _made(turn: Turn, name: str) -> str | None:
    """The turn's file that a name means: its short name, its file name or its path."""
    for short, path in turn.makes.items():
        if name in (short, path.name, f"{path.parent.name}/{path.name}", str(path)):
            return short
    if name.startswith("notes/"):
        return None
    raise Refused(f"{name!r} is not a file of this turn: it makes {', '.join(turn.makes) or 'none'}, and your notes")


def _checked(tool: Tool, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments, when they are what the tool's schema says; None stands for one that was left out."""
    given = {name: value for name, value in arguments.items() if value is not None}
    unknown = sorted(set(given) - set(tool.parameters))
    missing = [name for name in tool.parameters if name not in given and name not in tool.optional]
    if unknown or missing:
        problem = ", ".join([*(f"unknown: {name}" for name in unknown), *(f"missing: {name}" for name in missing)])
        raise Refused(f"arguments of {tool.name}: {problem}; it takes {', '.join(tool.parameters) or 'none'}")
    for name, value in given.items():
        schema = tool.parameters[name]
        if schema["type"] == "integer" and isinstance(value, float) and value.is_integer():
            given[name] = value = int(value)
        if isinstance(value, bool) or not isinstance(value, str if schema["type"] == "string" else int):
            raise Refused(f"{tool.name}: {name} must be of type {schema['type']}")
        if value not in schema.get("enum", [value]):
            raise Refused(f"{tool.name}: {name} is one of {', '.join(schema['enum'])}")
    return given


def _shown(value: Any) -> str:
    """A text as it is; a record as JSON, its texts of several lines below it."""
    if not isinstance(value, Mapping):
        return str(value)
    long = {key: item for key, item in value.items() if isinstance(item, str) and "\n" in item}
    short = {key: item for key, item in value.items() if key not in long}
    parts = [json.dumps(short, indent=1, ensure_ascii=False, default=str)]
    return "\n".join(parts + [f"--- {key} ---\n{item.rstrip()}" for key, item in long.items()])
