"""Rules of the project that a reader should be able to rely on."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCES = sorted([*(ROOT / "orchestrator").rglob("*.py"), *(ROOT / "agents").rglob("*.py")])
WRITERS = {"orchestrator/files.py"}
SCRATCH = {"orchestrator/execution", "orchestrator/referee", "agents/offline/blocks", "orchestrator/competitions"}
"""Folders whose code also fills scratch or staging folders that no one relies on after a crash."""


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_files_are_short_and_broad_excepts_rare(path: Path) -> None:
    text = path.read_text()
    assert text.count("\n") <= 350
    if name(path) not in ("orchestrator/loop.py", "orchestrator/cli.py"):
        assert not re.search(r"except( Exception)?:", text)


@pytest.mark.parametrize("path", [path for path in SOURCES if path.is_relative_to(ROOT / "agents")], ids=name)
def test_agents_know_nothing_of_the_orchestrator(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert not (node.module or "").startswith("orchestrator")
        if isinstance(node, ast.Import):
            assert not any(alias.name.startswith("orchestrator") for alias in node.names)


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_durable_files_are_written_in_one_way(path: Path) -> None:
    if name(path) in WRITERS or any(name(path).startswith(folder) for folder in SCRATCH):
        return
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            assert node.func.attr not in ("write_text", "write_bytes"), f"line {node.lineno}: use files.atomic_write"


@pytest.mark.parametrize("path", [path for path in SOURCES if not path.name.startswith("__")], ids=name)
def test_every_module_stands_in_the_readme_of_its_folder(path: Path) -> None:
    readme = next(folder / "README.md" for folder in path.parents if (folder / "README.md").is_file())
    assert re.search(rf"`(\w+/)?{re.escape(path.name)}`", readme.read_text()), (
        f"{name(readme)} does not tell what it is"
    )


def test_readmes_name_no_module_that_is_gone() -> None:
    names = {path.name for path in SOURCES}
    for readme in [readme for package in ("orchestrator", "agents") for readme in (ROOT / package).rglob("README.md")]:
        assert set(re.findall(r"`(?:\w+/)?(\w+\.py)`", readme.read_text())) <= names, name(readme)


def test_design_notes_have_numbers_of_their_own() -> None:
    notes = sorted((ROOT / "docs" / "design").glob("*.md"))
    assert [note.name[:4] for note in notes] == [f"{number:04}" for number in range(1, len(notes) + 1)]
    assert all(note.read_text().startswith(f"# {note.name[:4]}: ") for note in notes)


def test_the_loop_fits_on_a_screen_or_two() -> None:
    assert (ROOT / "orchestrator/loop.py").read_text().count("\n") <= 140


def test_every_prompt_is_filled_by_its_phase(tmp_path: Path) -> None:
    from agents import prompts
    from orchestrator.turns import GRAMMAR

    values = dict.fromkeys(("label", "role", "needs", "makes", "facts", "guidance"), "x")
    for phase in GRAMMAR:
        assert "$" not in prompts.render(tmp_path, phase, **values)
    assert prompts.render(tmp_path, "again", before="B", problem="P").split() == [
        "B",
        *["##", "Your", "last", "answer", "could", "not", "be", "used", "P"],
    ]
    with pytest.raises(prompts.PromptError, match="names"):
        prompts.render(tmp_path, "plan", label="R01")
    with pytest.raises(prompts.PromptError, match="missing"):
        prompts.render(tmp_path, "nonsense")
