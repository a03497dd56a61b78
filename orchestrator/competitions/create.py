"""A new campaign from a folder: data in place, every setting of config.json guessed with its reason."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

from orchestrator import config as settings
from orchestrator import show
from orchestrator.competitions import builtin
from orchestrator.competitions.answers import read_answers
from orchestrator.competitions.folders import Layout, copy_file, copy_public, locate, read_meta
from orchestrator.competitions.infer import Inferred, infer
from orchestrator.competitions.tables import MISSING, read_verbatim, write_csv
from orchestrator.config import Config
from orchestrator.errors import BadInput
from orchestrator.files import atomic_write, fsync_folder

CONFIG = "config.json"


def create(directory: Path, source: Path | None = None, *, use_meta: bool = True) -> list[str]:
    """Make a campaign in `directory` from the folder `source` (None: the built-in competition); lines to print.

    All or nothing: the campaign is built beside its place and moved there when it is complete. Raises BadInput for a
    directory in use and for anything in `source` that can't be used. `use_meta=False` does not look at meta.json.
    """
    directory = directory.absolute()
    _check_place(directory, source)
    anchor = next(place for place in (directory.parent, *directory.parents) if place.is_dir())
    stage = Path(tempfile.mkdtemp(prefix=f".{directory.name}.", suffix=".new", dir=anchor))
    try:
        if source is None:
            config = builtin.config()
            lines = ["It plays the built-in competition, whose data are made at the first start."]
        else:
            config, lines = _from_folder(stage, source, use_meta)
        atomic_write(stage / CONFIG, settings.as_json(config))
        stage.chmod(0o755)
        _land(stage, directory)
    finally:
        shutil.rmtree(stage, ignore_errors=True)
    return [
        f"Made the campaign {directory}.",
        *lines,
        *_summary(config),
        f"Start: {show.command('loop', directory)}",
    ]


def _check_place(directory: Path, source: Path | None) -> None:
    if (directory / CONFIG).exists():
        raise BadInput(f"{directory} already holds a campaign ({CONFIG}): choose another folder")
    if directory.exists() and not directory.is_dir():
        raise BadInput(f"{directory} is a file: choose another name for the campaign's folder")
    if directory.is_dir() and any(directory.iterdir()):
        raise BadInput(f"{directory} is not empty: choose a new folder, or empty this one")
    if source is not None and directory.resolve().is_relative_to(source.resolve()):
        raise BadInput(f"{directory} lies inside {source}, which is to be copied: choose a folder elsewhere")


def _from_folder(stage: Path, source: Path, use_meta: bool) -> tuple[Config, list[str]]:
    layout = locate(source)
    meta = read_meta(layout.meta if use_meta else None)
    data, private = stage / "competition" / "data", stage / "competition" / "private"
    data.mkdir(parents=True)
    try:
        names = copy_public(layout, data)
        text = layout.description.read_text(encoding="utf-8", errors="replace") if layout.description else ""
        found = infer(data, (names["train"], names["test"], names["sample_submission"]), meta, text)
        lines = _without_unlabelled(data / names["train"], found)
        lines += _place_answers(layout, private, data / names["sample_submission"], found)
    except BadInput as error:
        # The copies are gone when the person reads this: name the originals.
        raise BadInput(str(error).replace(str(data), str(layout.public))) from None
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", meta.get("slug") or source.resolve().name).strip("-._")
    competition = {"name": name[:100] or "unnamed", **found.competition}
    raw: dict[str, Any] = {"competition": competition, "cv": found.cv, "guesses": dict(found.guesses)}
    if not private.exists():
        raw["submissions"] = {"enabled": False}
        raw["guesses"]["submissions.enabled"] = "no answers came with the folder, so nothing could be graded here"
    return settings.parse(raw, CONFIG), lines


def _without_unlabelled(train: Path, found: Inferred) -> list[str]:
    """Rewrite the train table without the rows that lack a target: there is nothing to learn from them."""
    if not found.unlabelled_rows:
        return []
    targets = found.competition["target_columns"]
    if train.suffix == ".parquet":
        import io

        from pyarrow import parquet

        table = parquet.ParquetFile(train).read()
        for name in targets:
            table = table.filter(table.column(name).is_valid())
        buffer = io.BytesIO()
        parquet.write_table(table, buffer)
        atomic_write(train, buffer.getvalue())
    else:
        frame = read_verbatim(train)
        write_csv(train, frame[~frame[targets].isin(MISSING).any(axis=1)])
    return [f"Left out {found.unlabelled_rows} rows of {train.name} that have no target."]


def _place_answers(layout: Layout, private: Path, sample: Path, found: Inferred) -> list[str]:
    if layout.answers is None:
        return ["There are no answers in it, so submissions are switched off and nothing is graded here."]
    answers = read_answers(layout.answers, sample, found.competition)
    private.mkdir(mode=0o700)
    write_csv(private / "answers.csv", answers)
    if layout.leaderboard:
        copy_file(layout.leaderboard, private / "leaderboard.csv")
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


def _summary(config: Config) -> list[str]:
    """What was decided, and that it is a guess."""
    spec, cv, why = config.competition, config.cv, config.guesses
    direction = "" if spec.maximize is None else (", higher is better" if spec.maximize else ", lower is better")
    lines = [
        f"task      {spec.task}: {', '.join(spec.target_columns[:6])}{' …' if len(spec.target_columns) > 6 else ''}",
        f"metric    {spec.metric}{direction}  ({why.get('competition.metric', 'stated')})",
        f"id        {spec.id_column or 'none: rows are matched by their order'}",
        f"submit    {spec.submission_kind}: {', '.join(spec.submission_columns[:6])}",
        f"folds     {cv.folds} × {cv.strategy}  ({why.get('cv.strategy', 'stated')})",  # noqa: RUF001
    ]
    if spec.drop_columns:
        lines.append(f"left out  {', '.join(spec.drop_columns[:6])}  (in train only)")
    if why:
        lines.append(f"These are guesses: check them in {CONFIG}, where `guesses` has the reason of each.")
    return lines
