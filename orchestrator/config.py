"""config.json: the one file a person edits.

Settings resolve as environment (`AUTOKAGGLE_LOOP__MAX_ROUNDS=3`) over config.json over the defaults below. Unknown
keys are errors that name the nearest known key; every error names the file, the key, the value and the fix.
"""

from __future__ import annotations

import difflib
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from orchestrator.errors import BadInput, Damaged
from orchestrator.files import read_regular

ENVIRONMENT_PREFIX = "AUTOKAGGLE_"
Label = bool | int | float | str
Task = Literal["binary", "multiclass", "regression", "multilabel", "multiregression"]
SubmissionKind = Literal["value", "label", "probability", "class_columns", "ranked_list"]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class CompetitionSection(Section):
    kind: Literal["local"] = "local"
    name: str = Field(default="unnamed", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")
    builtin: Literal["digits"] | None = None
    """Made from data that scikit-learn ships, at the start of the first round."""
    train: str = "train.csv"
    test: str = "test.csv"
    sample_submission: str = "sample_submission.csv"
    """File names under competition/data/."""
    id_column: str | None = None
    """The id of the sample submission; None when rows are matched by their order."""
    target_columns: list[str] = Field(default_factory=list)
    task: Task = "binary"
    classes: list[Label] = Field(default_factory=list)
    """The class labels in the order of the prediction columns; for binary [negative, positive]."""
    metric: str = "auc"
    metric_file: str | None = None
    """A metric.py of your own in the campaign's folder, instead of `metric`."""
    maximize: bool | None = None
    """None: as the metric has it."""
    submission_columns: list[str] = Field(default_factory=list)
    submission_kind: SubmissionKind = "value"
    ranked_k: int = Field(default=0, ge=0)
    """How many labels a row of a ranked_list submission holds (map@k)."""
    group_column: str | None = None
    time_column: str | None = None
    text_columns: list[str] = Field(default_factory=list)
    date_columns: list[str] = Field(default_factory=list)
    drop_columns: list[str] = Field(default_factory=list)
    """Never a feature (columns that exist in train only are dropped on their own)."""
    daily_limit: int = Field(default=5, ge=0)
    public_fraction: float = Field(default=0.3, gt=0, lt=1)
    """The share of a local competition's answers behind its public leaderboard."""


class CVSection(Section):
    strategy: Literal["stratified", "kfold", "group", "time"] = "kfold"
    folds: int = Field(default=5, ge=2, le=20)
    seed: int = 42


class PriceSection(Section):
    """USD per million tokens."""

    input: float = Field(ge=0)
    output: float = Field(ge=0)
    cache_read: float | None = Field(default=None, ge=0)
    cache_write: float | None = Field(default=None, ge=0)


class AgentSection(Section):
    backend: Literal["auto", "offline", "scripted", "anthropic", "openai"] = "auto"
    """auto: a model where the campaign's own .env holds a key, else offline."""
    script: str | None = None
    """For `scripted`: a JSON file of replies."""
    model: str | None = None
    effort: str | None = None
    """How hard the model thinks, in its provider's own words (low … max)."""
    base_url: str | None = None
    """A compatible server: OpenRouter, vLLM, Ollama, llama.cpp, Gemini; None: the provider's own."""
    key_variable: str | None = None
    """The variable that holds the API key; "" for a server that wants none."""
    price: PriceSection | None = None
    fallback_model: str | None = None
    """Takes over in a session of its own when the model refuses a turn."""
    max_output_tokens: int = Field(default=32_000, ge=1024)
    max_tokens_field: Literal["max_completion_tokens", "max_tokens"] = "max_completion_tokens"
    """Older servers of the openai dialect want `max_tokens`."""
    context_tokens: int | None = Field(default=None, ge=1000)
    """The model's window, where nobody knows it."""
    context_cap: int = Field(default=150_000, ge=1000)
    """A session whose context is longer hands over at the next round."""
    cache_ttl: Literal["5m", "1h"] = "5m"
    web_search: bool = False
    """The provider's own web search, for the Researcher; costs extra."""
    max_requests: int = Field(default=80, ge=2)
    """Of one turn."""
    unreachable_minutes: float = Field(default=720.0, gt=0)
    """How long to go on asking a provider that does not answer."""
    max_wait_s: float = Field(default=900.0, gt=0)
    """The longest pause between two attempts, whatever the provider wishes."""

    @model_validator(mode="after")
    def _complete(self) -> AgentSection:
        if self.base_url is not None and not self.base_url.startswith(("http://", "https://")):
            raise ValueError(f"base_url = {self.base_url!r} must begin with http:// or https://")
        if self.base_url is not None and self.backend in ("anthropic", "openai") and self.model is None:
            raise ValueError("base_url needs model: name the model that this server serves")
        return self


class AgentsSection(Section):
    researcher: AgentSection = AgentSection()
    builder: AgentSection = AgentSection()
    reviewer: AgentSection = AgentSection()
    respawn_rounds: int = Field(default=15, ge=1)
    when_unreachable: Literal["wait", "offline"] = "wait"
    """When a model can't be had: end and wait for a person, or let the built-in player take the phase."""


class LoopSection(Section):
    max_rounds: int | None = Field(default=20, ge=1)
    minutes: float | None = Field(default=None, gt=0)
    """Wall-clock cap on the whole campaign, counted over restarts."""
    deadline: str | None = None
    """ISO time in UTC after which no round starts."""
    target_score: float | None = None
    patience: int = Field(default=8, ge=1)
    """End when no round was kept in so many, after a bold one was forced."""
    parallel_strategies: int = Field(default=1, ge=1, le=8)
    experiment_tries: int = Field(default=3, ge=1, le=10)
    retro_every: int = Field(default=10, ge=1)

    @field_validator("deadline")
    @classmethod
    def _iso(cls, value: str | None) -> str | None:
        from datetime import datetime

        if value is not None:
            datetime.fromisoformat(value)
        return value


class RefereeSection(Section):
    keep_probability: float = Field(default=0.9, gt=0.5, lt=1)
    gate_sigmas: float = Field(default=2.0, gt=0)
    """Fold 1 worse than the best by more than so many standard errors ends the round."""
    final: Literal["mean", "refit"] = "mean"
    """Test predictions: mean over the folds' models, or one refit on all rows."""


class ExecutionSection(Section):
    backend: Literal["local"] = "local"
    sandbox: Literal["auto", "A", "B", "C", "none"] = "auto"
    cores: int | None = Field(default=None, ge=1)
    """None: all that this process may use."""
    experiment_minutes: float = Field(default=30.0, gt=0)
    memory_gb: float | None = Field(default=None, gt=0)
    """For one experiment, all its folds together; None: 70 % of what is free at start."""
    disk_gb: float = Field(default=5.0, gt=0)
    processes: int = Field(default=200, ge=8)
    log_kb: int = Field(default=256, ge=4)


class SubmissionsSection(Section):
    enabled: bool = True
    daily_limit: int | None = Field(default=None, ge=0)
    """None: as many as the competition allows."""
    reserve: int = Field(default=0, ge=0)
    """Slots of each day left for a person."""


class BudgetSection(Section):
    """What models may cost; None: no cap."""

    usd: float | None = Field(default=10.0, ge=0)
    usd_per_day: float | None = Field(default=None, ge=0)
    usd_per_round: float | None = Field(default=None, ge=0)
    tokens: int | None = Field(default=None, ge=0)
    tokens_per_day: int | None = Field(default=None, ge=0)
    tokens_per_round: int | None = Field(default=None, ge=0)


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
        raise BadInput(f"{path} is not valid JSON: {error}; fix the file with an editor") from error
    if not isinstance(raw, dict):
        raise BadInput(f"{path} holds {type(raw).__name__}, not an object: start it with {{ and end it with }}")
    merged = _with_environment(raw, os.environ if environment is None else environment)
    return parse(merged, str(path))


def parse(raw: dict[str, Any], source: str) -> Config:
    """Validate an already decoded config; `source` names it in errors."""
    try:
        return Config.model_validate(raw)
    except ValidationError as error:
        sentences = [_sentence(source, item) for item in error.errors()]
        raise BadInput("; ".join(sentences)) from None


def as_json(config: Config) -> str:
    """The whole config, guesses included, as a person will edit it."""
    return json.dumps(config.model_dump(), indent=2, ensure_ascii=False) + "\n"


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


def _sentence(source: str, item: Any) -> str:
    path = [str(part) for part in item["loc"]]
    dotted = ".".join(path)
    if item["type"] == "extra_forbidden":
        near = difflib.get_close_matches(path[-1], _known_keys(path[:-1]), n=1)
        known = ", ".join(sorted(_known_keys(path[:-1])))
        fix = f"did you mean {near[0]!r}?" if near else f"known keys here: {known}"
        return f"{source}: unknown key {dotted!r}; {fix}"
    return f"{source}: {dotted} = {json.dumps(item['input'], default=str)[:80]} is wrong: {item['msg']}"


def _known_keys(path: list[str]) -> list[str]:
    model: type[BaseModel] = Config
    for part in path:
        field = model.model_fields.get(part)
        annotation = field.annotation if field else None
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return []
        model = annotation
    return list(model.model_fields)
