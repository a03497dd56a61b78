"""The IN folder of one fold, laid out for a person who wants to run an experiment alone."""

from __future__ import annotations

import shutil
from pathlib import Path

from orchestrator.config import Config
from orchestrator.errors import BadInput
from orchestrator.files import read_json_or_none
from orchestrator.ledger import load_entries
from orchestrator.referee.blend import weights
from orchestrator.referee.earlier import for_blends
from orchestrator.referee.run import Referee
from orchestrator.referee.workdir import Workdir, data_files, task_record
from orchestrator.rounds import RoundFiles


def lay_out(root: Path, config: Config, number: int, fold: int, target: Path) -> None:
    """Copy to `target` (new) what round `number` found under IN in its fold `fold` (counted from 0).

    Raises BadInput when there is no such round or fold, or when `target` exists.
    """
    files = RoundFiles(root / "rounds", number)
    if not files.has("experiment.py"):
        raise BadInput(f"{files.path('experiment.py')} does not exist: name a round that ran an experiment")
    if target.exists():
        raise BadInput(f"{target} exists: name a folder that does not")
    referee = Referee(root, config, executor=None)
    folds = referee.seal()
    if not 0 <= fold < folds.folds:
        raise BadInput(f"there is no fold {fold + 1}: this campaign has {folds.folds}, counted from 1")
    before = [
        entry["round"] for entry in load_entries(root / "rounds") if entry["complete"] and entry["round"] < number
    ]
    rounds = [RoundFiles(root / "rounds", earlier) for earlier in before]
    shown = referee.archive.open_all(rounds, folds, referee.metric)
    data = data_files(root / "competition" / "data", config.competition)
    task = task_record(
        config,
        folds,
        referee.metric,
        fold,
        round=number,
        cores=1,
        gpus=0,
        seconds=config.execution.experiment_minutes * 60,
        memory_mb=4096,
        data=sorted(data),
        previous=[other.label for other in shown],
    )
    mixture = None
    if shown:
        record = read_json_or_none(files.path("scores.json")) or {}
        thorough, kind = record.get("role") == "blend", config.competition.task
        mixture = weights(referee.metric, folds, for_blends(shown), fold, task=kind, thorough=thorough)._asdict()
    with Workdir(root / ".work" / "by_hand", "unused.py", b"", folds, shown, data) as work:
        for name, source in work.inputs(fold, task, mixture).items():
            place = target / name
            place.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, place)
            else:
                shutil.copyfile(source, place)
