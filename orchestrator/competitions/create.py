"""A new campaign: data in place, every setting of config.json guessed with its reason, all of it or nothing."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator import config as settings
from orchestrator import show
from orchestrator.competitions import builtin
from orchestrator.competitions.answers import read_answers
from orchestrator.competitions.folders import Layout, copy_public, locate, read_meta
from orchestrator.competitions.infer import Inferred, infer
from orchestrator.competitions.infer_metric import Description
from orchestrator.competitions.infer_sample import make_sample
from orchestrator.competitions.prepare import prepare
from orchestrator.competitions.table_files import copy_durably
from orchestrator.competitions.tables import read_verbatim, write_csv, write_parquet
from orchestrator.config import CompetitionSection, Config
from orchestrator.errors import BadInput
from orchestrator.files import atomic_write, fsync_folder

CONFIG = "config.json"
NO_ANSWERS = "no answers came with the folder, so nothing could be graded here"


@dataclass(frozen=True)
class Source:
    """A competition's folder, and what is known of it besides."""

    layout: Layout
    name: str
    description: Description
    meta: dict[str, Any] = field(default_factory=dict)
    """What is stated and not to be guessed; see `folders.read_meta`."""
    settings: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Sections of config.json, laid over what is inferred."""
    guesses: dict[str, str] = field(default_factory=dict)
    documents: dict[str, str] = field(default_factory=dict)
    """Texts to write: path below competition/data → text."""
    notes: list[str] = field(default_factory=list)
    """Sentences for the person."""
    in_notebooks: bool = False
    """Whether notebooks compute the submissions: they meet the tables as they came, without dates made here."""


def create(directory: Path, source: Path | None = None, *, use_meta: bool = True) -> list[str]:
    """Make a campaign in `directory` from the folder `source` (None: the built-in competition); lines to print.

    All or nothing: the campaign is built beside its place and moved there when it is complete. Raises BadInput for a
    directory in use and for anything in `source` that can't be used. `use_meta=False` does not look at meta.json.
    """
    directory = directory.absolute()
    check_place(directory, source)
    return build(directory, None if source is None else _of_folder(source, use_meta))


def build(directory: Path, source: Source | None) -> list[str]:
    """Make a campaign in `directory`, which is absolute and new or empty; lines to print."""
    anchor = next(place for place in (directory.parent, *directory.parents) if place.is_dir())
    stage = Path(tempfile.mkdtemp(prefix=f".{directory.name}.", suffix=".new", dir=anchor))
    try:
        if source is None:
            config = builtin.config()
            lines = ["It plays the built-in competition, whose data are made at the first start."]
        else:
            config, lines = _filled(stage, source)
        atomic_write(stage / CONFIG, settings.as_json(config))
        stage.chmod(0o755)
        _land(stage, directory)
    finally:
        shutil.rmtree(stage, ignore_errors=True)
    return [f"Made the campaign {directory}.", *lines, *summary(config, directory)]


def adopt(directory: Path, source: Source) -> list[str]:
    """Make a campaign around the data that lie in its own competition/data already; lines to print.

    config.json is written last; nothing of the data is removed.
    """
    data, tables = directory / "competition" / "data", source.layout.tables
    names = {role: path.name for role, path in tables.items()}
    for role, path in tables.items():
        if path.parent != data:
            if (data / path.name).is_dir():
                names[role] = f"{role}_table{''.join(path.suffixes)}"
            copy_durably(path, data / names[role])
    config, lines = _settled(directory, source, names)
    atomic_write(directory / CONFIG, settings.as_json(config))
    return [f"Made the campaign {directory} from the data that are in it.", *lines, *summary(config, directory)]


def check_place(directory: Path, source: Path | None) -> None:
    """Raise BadInput unless a campaign may be made in `directory`."""
    if (directory / CONFIG).exists():
        raise BadInput(f"{directory} already holds a campaign ({CONFIG}): choose another folder")
    if directory.exists() and not directory.is_dir():
        raise BadInput(f"{directory} is a file: choose another name for the campaign's folder")
    if directory.is_dir() and any(directory.iterdir()):
        raise BadInput(f"{directory} is not empty: choose a new folder, or empty this one")
    if source is not None and directory.resolve().is_relative_to(source.resolve()):
        raise BadInput(f"{directory} lies inside {source}, which is to be copied: choose a folder elsewhere")


def _of_folder(folder: Path, use_meta: bool) -> Source:
    layout = locate(folder)
    meta = read_meta(layout.meta if use_meta else None)
    text = layout.description.read_text(encoding="utf-8", errors="replace") if layout.description else ""
    name = meta.get("slug") or folder.resolve().name
    if layout.answers is not None:
        return Source(layout, name, Description.of(text), meta)
    return Source(
        layout,
        name,
        Description.of(text),
        meta,
        settings={"submissions": {"enabled": False}},
        guesses={"submissions.enabled": NO_ANSWERS},
        notes=["There are no answers in it, so submissions are switched off and nothing is graded here."],
    )


def _filled(stage: Path, source: Source) -> tuple[Config, list[str]]:
    data = stage / "competition" / "data"
    data.mkdir(parents=True)
    try:
        return _settled(stage, source, copy_public(source.layout, data))
    except BadInput as error:
        # The copies are gone when the person reads this: name the originals.
        raise BadInput(str(error).replace(str(data), str(source.layout.public))) from None


def _settled(campaign: Path, source: Source, names: dict[str, str]) -> tuple[Config, list[str]]:
    """Decide every setting from the data in place; `names`: role → table."""
    data, guesses = campaign / "competition" / "data", dict(source.guesses)
    for path, text in source.documents.items():
        (data / path).parent.mkdir(parents=True, exist_ok=True)
        atomic_write(data / path, text)
    if source.in_notebooks and "test" not in names:
        raise BadInput(f"{source.name} has no test table, which the notebooks that compute its submissions would read")
    names, prepared = prepare(data, names, source.description.text, dates=not source.in_notebooks)
    if "sample_submission" not in names:
        why = make_sample(data, names["train"], names["test"], source.description.text)
        names = {**names, "sample_submission": "sample_submission.csv"}
        guesses["competition.sample_submission"] = why
    tables = names["train"], names["test"], names["sample_submission"]
    found = infer(data, tables, source.meta, source.description)
    lines = source.notes + prepared + _without_unlabelled(data / names["train"], found)
    lines += _place_answers(source.layout, campaign / "competition" / "private", data / tables[2], found)
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", source.name).strip("-._")[:100] or "unnamed"
    raw: dict[str, Any] = {"competition": {"name": name, **found.competition}, "cv": found.cv}
    for section, values in source.settings.items():
        raw[section] = {**raw.get(section, {}), **values}
    return settings.parse({**raw, "guesses": {**found.guesses, **guesses}}, CONFIG), lines


def _without_unlabelled(train: Path, found: Inferred) -> list[str]:
    """Rewrite the train table without the rows that lack a target: there is nothing to learn from them."""
    if found.labelled.all():
        return []
    if train.suffix == ".parquet":
        from pyarrow import array, parquet

        write_parquet(train, parquet.ParquetFile(train).read().filter(array(found.labelled)))
    else:
        write_csv(train, read_verbatim(train)[found.labelled])
    lost, metric = int((~found.labelled).sum()), found.competition["metric"]
    several = len(found.competition["target_columns"]) > 1
    why = f"lack a target, since {metric} looks at whole rows" if several and not found.holes else "have no target"
    return [f"Left out {lost} rows of {train.name} that {why}."]


def _place_answers(layout: Layout, private: Path, sample: Path, found: Inferred) -> list[str]:
    if layout.answers is None:
        return []
    answers = read_answers(layout.answers, sample, found.competition)
    private.mkdir(mode=0o700)
    write_csv(private / "answers.csv", answers)
    if layout.leaderboard:
        copy_durably(layout.leaderboard, private / "leaderboard.csv")
    return [f"{len(answers)} answers are kept in competition/private, where no experiment can read them."]


def _land(stage: Path, directory: Path) -> None:
    """Move the finished campaign to its place; into an empty folder that exists, config.json goes last."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    if not directory.exists():
        os.replace(stage, directory)
    else:
        for child in sorted(stage.iterdir(), key=lambda path: path.name == CONFIG):
            os.replace(child, directory / child.name)
        fsync_folder(directory)
    fsync_folder(directory.parent)


def summary(config: Config, directory: Path) -> list[str]:
    """What was decided, that it is a guess, and how to go on."""
    spec, cv, why = config.competition, config.cv, config.guesses
    direction = "" if spec.maximize is None else (", higher is better" if spec.maximize else ", lower is better")
    lines = [
        f"task      {spec.task}: {_some(spec.target_columns)}",
        f"metric    {spec.metric}{direction}  ({why.get('competition.metric', 'stated')})",
        f"id        {spec.id_column or 'none: rows are matched by their order'}",
        f"submit    {spec.submission_kind}: {_some(spec.submission_columns)}{_other_name(spec)}",
        f"folds     {cv.folds or '5 or 10'} × {cv.strategy}  ({why.get('cv.strategy', 'stated')})",  # noqa: RUF001
    ]
    if spec.date_columns:
        lines.append(f"dates     {_some(spec.date_columns)}")
    if spec.text_columns:
        lines.append(f"texts     {_some(spec.text_columns)}")
    if spec.drop_columns:
        lines.append(f"left out  {_some(spec.drop_columns)}  (no value in test)")
    if hidden := _hidden(directory / "competition" / "data", config):
        lines.append(f"hidden    {_some(hidden)}  (from experiments: labels may be in it)")
    if why:
        lines.append(f"These are guesses: check them in {CONFIG}, where `guesses` has the reason of each.")
    return [*lines, f"Start: {show.command('loop', directory)}"]


def _other_name(spec: CompetitionSection) -> str:
    """That the sample calls a lone target otherwise than train does."""
    if (
        len(spec.target_columns) != 1
        or len(spec.submission_columns) != 1
        or spec.target_columns == spec.submission_columns
    ):
        return ""
    return f"  (taken for train's {spec.target_columns[0]})"


def _some(names: list[str]) -> str:
    return ", ".join(names[:6]) + (" …" if len(names) > 6 else "")


def _hidden(data: Path, config: Config) -> list[str]:
    from orchestrator.referee.workdir import hidden_files

    return hidden_files(data, config.competition) if data.is_dir() else []
