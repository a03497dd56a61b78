"""config.json: the one file a person edits.

Settings resolve as environment (`AUTOKAGGLE_LOOP__MAX_ROUNDS=3`) over config.json over the defaults below. Unknown
keys are errors that name the nearest known key; every error names the file, the key, the value and the fix.
"""

from __future__ import annotations

import difflib
import json
import math
import os
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field, ValidationError, field_validator, model_validator

from orchestrator import pasted_keys
from orchestrator.agent_settings import AgentsSection, BudgetSection, Section
from orchestrator.errors import BadInput, Damaged
from orchestrator.files import json_fault, read_regular

ENVIRONMENT_PREFIX = "AUTOKAGGLE_"
USUAL_ROUNDS = 20
SECRET_KEYS = ("key_variable", "base_url")
"""Where people paste keys by mistake: their values are never shown."""
Label = bool | int | float | str
Task = Literal["binary", "multiclass", "regression", "multilabel", "multiregression"]
SubmissionKind = Literal["value", "label", "probability", "class_columns", "ranked_list"]


class CompetitionSection(Section):
    kind: Literal["local", "kaggle"] = "local"
    """Where submissions are graded: here, on the answers in competition/private, or by Kaggle."""
    slug: str | None = Field(default=None, pattern=r"^[a-z0-9](?:[a-z0-9-]{0,98}[a-z0-9])?$")
    """The name of a Kaggle competition as its address has it: kaggle.com/competitions/SLUG."""
    name: str = Field(default="unnamed", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")
    """What the campaign is called in reports."""
    builtin: Literal["digits"] | None = None
    """Made from data that scikit-learn ships, at the start of the first round."""
    train: str = "train.csv"
    """The labelled table: a file under competition/data."""
    test: str = "test.csv"
    """The rows to predict: a file under competition/data."""
    sample_submission: str = "sample_submission.csv"
    """The form of a submission: a file under competition/data."""
    id_column: str | None = None
    """The id of the sample submission; None when rows are matched by their order."""
    target_columns: list[str] = Field(default_factory=list)
    """What is predicted: columns of train; several for multilabel and multiregression alone. Where the metric takes
    these one by one a row may lack some, and each is scored on the rows that have it."""
    task: Task = "binary"
    """binary and multiclass: one target, whose labels are `classes`. multilabel: targets of 0 and 1. regression and
    multiregression: one target of numbers, or several."""
    classes: list[Label] = Field(default_factory=list)
    """The class labels in the order of the prediction columns; for binary [negative, positive]."""
    metric: str = "auc"
    """By Kaggle's or scikit-learn's name; orchestrator/competitions/metrics.py has them. `task` and `submission_kind`
    must suit it."""
    metric_file: str | None = None
    """A metric.py of your own in the campaign's folder, instead of `metric`."""
    maximize: bool | None = None
    """None: as the metric has it."""
    submission_columns: list[str] = Field(default_factory=list)
    """The sample's columns that predictions fill, in the order of `target_columns` or `classes`."""
    submission_kind: SubmissionKind = "value"
    """What stands in these columns. value: numbers. label: the predicted classes, as accuracy, f1 and qwk take them.
    probability: of the second class, or of each 0/1 target, as auc and log_loss take them. class_columns: one column
    of probabilities for each of `classes`, of sum 1. ranked_list: labels, the likeliest first (map@k)."""
    ranked_k: int = Field(default=0, ge=0)
    """How many labels a row of a ranked_list submission holds (map@k)."""
    group_column: str | None = None
    """Rows of one group stay in one fold with cv.strategy "group"; ndcg ranks rows within these groups."""
    time_column: str | None = None
    """What cv.strategy "time" or "blocks" sorts rows by: numbers or dates."""
    text_columns: list[str] = Field(default_factory=list)
    """Features that hold prose or lists, taken word by word and not as categories."""
    date_columns: list[str] = Field(default_factory=list)
    """Features that hold dates, taken apart into year, month, weekday, …"""
    drop_columns: list[str] = Field(default_factory=list)
    """Never a feature (columns that exist in train only are dropped on their own)."""
    daily_limit: int = Field(default=5, ge=0)
    """How many submissions the competition takes in a day (UTC)."""
    public_fraction: float = Field(default=0.3, gt=0, lt=1)
    """The share of a local competition's answers behind its public leaderboard."""

    @model_validator(mode="after")
    def _named(self) -> CompetitionSection:
        if self.kind == "kaggle" and not self.slug:
            raise ValueError("kind is kaggle, so slug must be the competition's name as in its address")
        return self


class CVSection(Section):
    strategy: Literal["stratified", "kfold", "group", "time", "blocks"] = "kfold"
    """stratified: equal shares of each class. kfold: at random. group: no group in two folds (group_column). time:
    every fold is predicted from what came before it (time_column), as far ahead as test is. blocks: test lies between
    train's times in runs, and runs as long are kept together."""
    folds: int | None = Field(default=5, ge=2, le=20)
    """How many parts the training rows are split into; null: 10 where loop.minutes are 8 or more, else 5."""
    rows: int | None = Field(default=None, ge=10)
    """Labelled rows to learn from at most; null: as many as the time serves, in 10 minutes 3 million of 20 columns."""
    seed: int = Field(default=42, ge=0, lt=2**31)
    """Of the folds, the bootstrap and the players' choices."""

    @property
    def count(self) -> int:
        """`folds`, where it is known (`seal.with_folds`)."""
        if self.folds is None:
            raise ValueError("the number of folds is not settled before they are sealed")
        return self.folds


class LoopSection(Section):
    max_rounds: int | None = Field(default=None, ge=1)
    """None: 20, or as many as fit where `minutes` or `deadline` say when to end."""
    minutes: float | None = Field(default=None, gt=0, le=1e7)
    """Wall-clock cap on the whole campaign, counted over restarts."""
    deadline: str | None = None
    """ISO time in UTC after which no round starts."""
    target_score: float | None = None
    """End when the cross-validated score of a kept round is as good."""
    patience: int = Field(default=8, ge=1)
    """End when no round was kept in so many, after a bold one was forced."""
    parallel_strategies: int = Field(default=1, ge=1, le=8)
    """How many strategies of a plan are tried in one round, each with an experiment of its own: one after the other,
    but side by side on a Ray cluster."""
    experiment_tries: int = Field(default=3, ge=1, le=10)
    """How many scripts are written for one strategy while they fail."""
    retro_every: int = Field(default=10, ge=1)
    """A look back at all rounds, every so many of them."""

    @field_validator("deadline")
    @classmethod
    def _iso(cls, value: str | None) -> str | None:
        try:
            if value is not None:
                datetime.fromisoformat(value)
        except ValueError:
            raise ValueError('write it like "2026-12-31T18:00"; UTC unless it names another zone') from None
        return value

    @property
    def last_round(self) -> int | None:
        """How many rounds there are at most; None: time ends the campaign."""
        return self.max_rounds or (USUAL_ROUNDS if self.minutes is None and self.deadline is None else None)

    @property
    def ends(self) -> datetime | None:
        """The deadline, with its zone."""
        if self.deadline is None:
            return None
        found = datetime.fromisoformat(self.deadline)
        return found if found.tzinfo else found.replace(tzinfo=UTC)


class RefereeSection(Section):
    keep_probability: float = Field(default=0.9, gt=0.5, lt=1)
    """A round is kept when its gain over the best one is real with this probability, by the paired bootstrap."""
    gate_sigmas: float = Field(default=2.0, gt=0)
    """Fold 1 worse than the best by more than so many standard errors ends the round."""
    final: Literal["mean", "refit"] | None = None
    """Test predictions: mean over the folds' models, or one refit on all rows; null: refit where folds go by time."""


class ExecutionSection(Section):
    backend: Literal["local", "kaggle_kernel", "ray"] = "local"
    """Where experiments run: on this machine, as kernels on Kaggle's, or on a Ray cluster (at the next start)."""
    address: str = "auto"
    """Of the Ray cluster: "auto" for the one that this machine belongs to, or host:port."""
    gpus: float = Field(default=0.0, ge=0, le=1e4)
    """NVIDIA GPUs that experiments may use (at the next start), where there are so many: on this machine its folds then
    run one after the other; on a Ray cluster for one fold, as `cores` and `memory_gb` are there. 0: none is let in."""
    accelerator: str = Field(default="NvidiaTeslaT4", pattern=r"^[A-Za-z0-9]{2,40}$")
    """Of a kernel: NvidiaTeslaT4 (two of them), NvidiaTeslaP100, NvidiaL4, TpuV5E8, …, or "none"."""
    when_quota_is_spent: Literal["local", "wait"] = "local"
    """Once the week's hours of Kaggle's GPUs are used: run on this machine, or wait for the next week."""
    poll_seconds: float = Field(default=20.0, ge=0.05)
    """Between two looks at a kernel."""
    sandbox: Literal["auto", "A", "B", "C", "none"] = "auto"
    """auto: the strongest that works here. A: bubblewrap. B: Landlock with seccomp. C: macOS. none: no
    protection at all, the same as `loop --i-accept-no-sandbox`."""
    warm: bool = True
    """Experiments start with the usual libraries imported, forked from one process that has them (sandbox level A)."""
    cores: int | None = Field(default=None, ge=1, le=4096)
    """None: all that this process may use."""
    experiment_minutes: float = Field(default=30.0, gt=0, le=1e7)
    """The longest that one experiment may run, all its folds together."""
    memory_gb: float | None = Field(default=None, gt=0, le=1e6)
    """For one experiment, all its folds together; None: 70 % of what is free at start."""
    disk_gb: float = Field(default=5.0, gt=0, le=1e6)
    """What one experiment may write."""
    cache_gb: float = Field(default=2.0, ge=0, le=1e6)
    """What experiments may leave for later ones on the same fold, while the loop runs (sandbox level A); 0: nothing."""
    processes: int = Field(default=200, ge=8, le=10**6)
    """How many processes one experiment may have at once, all its folds together."""
    log_kb: int = Field(default=256, ge=4, le=10**6)
    """How much of what it prints is kept."""


class SubmissionsSection(Section):
    enabled: bool = True
    """Whether submissions go out at all."""
    daily_limit: int | None = Field(default=None, ge=0)
    """None: as many as the competition allows."""
    reserve: int = Field(default=0, ge=0)
    """Slots of each day left for a person."""
    wait_minutes: float = Field(default=5.0, ge=0)
    """How long the end of a campaign waits for scores that are still being computed; only where others score."""


class Config(Section):
    competition: CompetitionSection = CompetitionSection()
    cv: CVSection = CVSection()
    agents: AgentsSection = AgentsSection()
    loop: LoopSection = LoopSection()
    referee: RefereeSection = RefereeSection()
    execution: ExecutionSection = ExecutionSection()
    submissions: SubmissionsSection = SubmissionsSection()
    budget: BudgetSection = BudgetSection()
    knowledge_files: list[str] = Field(default_factory=list)
    """Markdown notes that the Researcher reads, relative to the campaign."""
    guesses: dict[str, str] = Field(default_factory=dict)
    """What `new` inferred, as dotted key → why; delete an entry once you have checked it."""

    @property
    def final(self) -> Literal["mean", "refit"]:
        """Where folds go by time, the first ones' models know nothing of the years before the test rows."""
        return self.referee.final or ("refit" if self.cv.strategy == "time" else "mean")


def load(path: Path, environment: Mapping[str, str] | None = None) -> Config:
    """Read config.json and the environment over it.

    Raises BadInput with every problem found, one sentence each.
    """
    try:
        text = read_regular(path).decode("utf-8-sig")
    except FileNotFoundError:
        raise BadInput(f"{path} is missing: make a campaign with `python -m orchestrator new DIR`") from None
    except (OSError, Damaged, UnicodeDecodeError) as error:
        raise BadInput(f"{path} can't be read: {error}") from error
    try:
        raw = json.loads(text, object_pairs_hook=_no_duplicates)
    except (json.JSONDecodeError, _DuplicateKey, RecursionError) as error:
        raise BadInput(f"{path} is not valid JSON: {json_fault(error)}; fix the file with an editor") from error
    if not isinstance(raw, dict):
        raise BadInput(f"{path} holds {type(raw).__name__}, not an object: start it with {{ and end it with }}")
    merged = _with_environment(raw, os.environ if environment is None else environment)
    return parse(merged, str(path))


def parse(raw: dict[str, Any], source: str) -> Config:
    """Validate an already decoded config; `source` names it in errors."""
    for place in pasted_keys.places(raw):
        raise BadInput(f"{source}: {place} holds what looks like a key: keys belong into the campaign's .env")
    if _BROKEN.search(json.dumps(raw, ensure_ascii=False)):
        raise BadInput(f"{source} holds a NUL or half a character (\\u0000, \\ud800): write its texts anew")
    try:
        return Config.model_validate(raw)
    except ValidationError as error:
        sentences = [_sentence(source, item) for item in error.errors()]
        raise BadInput("; ".join(sentences)) from None


def as_json(config: Config) -> str:
    """The whole config, guesses included, as a person will edit it."""
    return json.dumps(config.model_dump(), indent=2, ensure_ascii=False) + "\n"


def variable_of(key: str) -> str:
    """The environment variable of a dotted key: `AUTOKAGGLE_LOOP__MAX_ROUNDS` for `loop.max_rounds`."""
    return ENVIRONMENT_PREFIX + key.replace(".", "__").upper()


_BROKEN = re.compile(r"[\ud800-\udfff]|(?<!\\)(?:\\\\)*\\u0000")


class _DuplicateKey(ValueError):
    pass


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    seen: dict[str, Any] = {}
    for key, value in pairs:
        if key in seen:
            raise _DuplicateKey(f"the key {key!r} stands twice")
        if isinstance(value, float) and not math.isfinite(value):
            raise _DuplicateKey(f"the key {key!r} holds {value}, which is no number")
        seen[key] = value
    return seen


def _with_environment(raw: dict[str, Any], environment: Mapping[str, str]) -> dict[str, Any]:
    merged: dict[str, Any] = json.loads(json.dumps(raw))
    for name, text in environment.items():
        if not name.startswith(ENVIRONMENT_PREFIX) or "__" not in name:
            continue
        keys = name.removeprefix(ENVIRONMENT_PREFIX).lower().split("__")
        target = merged
        for key in keys[:-1]:
            target = target.setdefault(key, {})
            if not isinstance(target, dict):
                raise BadInput(f"the environment variable {name} points below {key!r}, which is not a section")
        try:
            target[keys[-1]] = json.loads(text)
        except json.JSONDecodeError:
            target[keys[-1]] = text
    return merged


_FORMS: dict[str, Callable[[str], str]] = {
    "list_type": lambda given: json.dumps([given])[:80],
    "model_type": lambda given: f'an object, as in {{"backend": {json.dumps(given)[:60]}}}',
}
"""What to write in place of a mere string."""


def _sentence(source: str, item: Any) -> str:
    path = [str(part) for part in item["loc"]]
    dotted = ".".join(path)
    if item["type"] == "extra_forbidden":
        near = difflib.get_close_matches(path[-1], _known_keys(path[:-1]), n=1)
        known = ", ".join(sorted(_known_keys(path[:-1])))
        fix = f"did you mean {near[0]!r}?" if near else f"known keys here: {known}"
        return f"{source}: unknown key {dotted!r}; {fix}"
    reason = str(item["msg"]).removeprefix("Value error, ")
    if item["type"] in _FORMS and isinstance(item["input"], str):
        given, fix = json.dumps(item["input"])[:80], _FORMS[item["type"]](item["input"])
        return f"{source}: {dotted} = {given} is wrong: write {fix}"
    if isinstance(item["input"], dict) and item["type"] == "value_error":
        return f"{source}: {dotted}: {reason}"
    if path[-1] in SECRET_KEYS:
        return f"{source}: {dotted} is wrong: {reason}"
    return f"{source}: {dotted} = {json.dumps(item['input'], default=str)[:80]} is wrong: {reason}"


def _known_keys(path: list[str]) -> list[str]:
    model: type[BaseModel] = Config
    for part in path:
        field = model.model_fields.get(part)
        annotation = field.annotation if field else None
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return []
        model = annotation
    return list(model.model_fields)
