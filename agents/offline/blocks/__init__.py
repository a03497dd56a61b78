"""Parts of experiment files, and their assembly into one file that needs nothing else of this project.

Every block is an ordinary module (linted, typed). `assemble` takes the top-level definitions that are really used,
drops the imports between blocks, and joins the rest in a fixed order: same arguments, same text.
"""

from __future__ import annotations

import ast
import re
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ORDER = (
    "core", "goals", "recall", "table", "amounts", "strings", "places", "grouped", "series", "pixels", "texts", "files",
    "design", "pace", "bags", "boosters", "select", "linear", "leftover", "seasons", "language", "classic", "nets",
    "blend",
)  # fmt: skip
OWN = "agents.offline.blocks"


@dataclass(frozen=True)
class Piece:
    """One top-level statement of a block: what it defines, what it uses, its text."""

    block: str
    names: frozenset[str]
    uses: frozenset[str]
    text: str


@cache
def read_blocks() -> tuple[dict[str, str], list[Piece], dict[str, str]]:
    """Titles of the blocks; their pieces in order; the import line behind each imported name."""
    titles, pieces, imports = {}, [], {}
    for block in ORDER:
        source = with_few_words((Path(__file__).parent / f"{block}.py").read_text(encoding="utf-8"))
        tree, lines, done = ast.parse(source), source.splitlines(), 0
        titles[block] = (ast.get_docstring(tree) or block).splitlines()[0]
        for node in tree.body:
            text = "\n".join(lines[done : node.end_lineno]).strip("\n")
            done = node.end_lineno or done
            if isinstance(node, ast.Import | ast.ImportFrom):
                imports.update(import_lines(node))
            elif names := defined(node):
                uses = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)} - names
                pieces.append(Piece(block, frozenset(names), frozenset(uses), text))
    return titles, pieces, imports


def defined(node: ast.stmt) -> set[str]:
    """Names that a top-level statement binds."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return {node.name}
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return {target.id for target in targets if isinstance(target, ast.Name)}


def with_few_words(source: str) -> str:
    """Without remarks behind code, docstrings cut to their first line: an experiment's file has a limit on its size."""
    lines = [re.sub(r"(?<=\S)  # [^'\"]*$", "", line) for line in source.splitlines()]
    for node in reversed([node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)]):
        said = node.body[0]
        if ast.get_docstring(node) and said.end_lineno is not None and said.end_lineno > said.lineno:
            lines[said.lineno - 1 : said.end_lineno] = [f'{lines[said.lineno - 1]}"""']
    return "\n".join(lines) + "\n"


def import_lines(node: ast.Import | ast.ImportFrom) -> dict[str, str]:
    """Bound name → a one-name import line; nothing for imports between blocks."""
    if isinstance(node, ast.ImportFrom) and (node.module in ("__future__", OWN) or str(node.module).startswith(OWN)):
        return {}
    prefix = f"from {node.module} import " if isinstance(node, ast.ImportFrom) else "import "
    return {
        (alias.asname or alias.name).split(".")[0]: prefix
        + alias.name
        + (f" as {alias.asname}" if alias.asname else "")
        for alias in node.names
    }


def sort_imports(lines: set[str]) -> str:
    """Import lines merged per module: standard library first, then the rest."""
    plain = {line.split()[1]: line for line in lines if line.startswith("import ")}
    named: dict[str, list[str]] = {}
    for line in lines - set(plain.values()):
        named.setdefault(line.split()[1], []).append(line.split(" import ")[1])
    whole = list(plain.items())
    whole += [(module, f"from {module} import {', '.join(sorted(names))}") for module, names in named.items()]
    whole.sort(key=lambda item: (item[1].startswith("from"), item[0]))
    own = [module.split(".")[0] in sys.stdlib_module_names for module, _ in whole]
    groups = [[line for (_, line), std in zip(whole, own, strict=True) if std is want] for want in (True, False)]
    return "\n\n".join("\n".join(group) for group in groups if group)


def assemble(title: str, constants: str, foot: str) -> str:
    """The whole file: docstring, imports, constants, the definitions that `foot` needs, foot."""
    titles, pieces, imports = read_blocks()
    imports = {**imports, "sys": "import sys", "Any": "from typing import Any"}
    wanted = {n.id for part in (constants, foot) for n in ast.walk(ast.parse(part)) if isinstance(n, ast.Name)}
    size = -1
    while len(wanted) != size:
        size = len(wanted)
        for piece in pieces:
            if piece.names & wanted:
                wanted |= piece.uses
    body, block = [], ""
    for piece in pieces:
        if piece.names & wanted:
            body.append((f"# ---- {titles[piece.block]}\n\n\n" if piece.block != block else "") + piece.text)
            block = piece.block
    lines = sort_imports({imports[name] for name in wanted if name in imports})
    top = f"{title}\n\nfrom __future__ import annotations\n\n{lines}\n\n{constants}"
    return "\n\n\n".join(part.strip("\n") for part in (top, *body, foot)) + "\n"
