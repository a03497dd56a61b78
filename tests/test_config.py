"""config.json: every mistake gets one sentence that names the file, the key, the value and the fix."""

import ast
import json
from pathlib import Path

import pytest

from orchestrator import config
from orchestrator.errors import BadInput

BROKEN = {
    "unknown section": ('{"competitoin": {}}', "unknown key 'competitoin'; did you mean 'competition'"),
    "unknown key": ('{"loop": {"max_round": 3}}', "unknown key 'loop.max_round'; did you mean 'max_rounds'"),
    "far-off key": ('{"loop": {"zzz": 3}}', "known keys here: deadline"),
    "text for a number": ('{"loop": {"max_rounds": "3"}}', 'loop.max_rounds = "3"'),
    "negative": ('{"loop": {"minutes": -1}}', "loop.minutes = -1"),
    "zero folds": ('{"cv": {"folds": 1}}', "cv.folds = 1"),
    "unknown strategy": ('{"cv": {"strategy": "magic"}}', "cv.strategy"),
    "unknown back end": ('{"agents": {"builder": {"backend": "gpt"}}}', "agents.builder.backend"),
    "no key": ('{"agents": {"builder": {"key_variable": "sk-ant-1234"}}}', "the NAME of the variable"),
    "no address": ('{"agents": {"builder": {"backend": "openai", "model": "m", "base_url": "api.x"}}}', "http://"),
    "key in the address": ('{"agents": {"builder": {"base_url": "https://me:sk-ant-1234@x.y"}}}', "belongs into .env"),
    "address without back end": ('{"agents": {"builder": {"base_url": "http://x"}}}', '"backend": "anthropic"'),
    "address without model": ('{"agents": {"builder": {"backend": "openai", "base_url": "http://x"}}}', "needs model"),
    "search elsewhere": ('{"agents": {"builder": {"backend": "openai", "web_search": true}}}', "web_search works with"),
    "fallback to itself": ('{"agents": {"builder": {"model": "a", "fallback_model": "a"}}}', "is the model itself"),
    "half a price": ('{"agents": {"builder": {"price": {"input": 1}}}}', "agents.builder.price.output"),
    "negative cap": ('{"budget": {"usd_per_day": -1}}', "budget.usd_per_day = -1"),
    "section as list": ('{"loop": []}', "loop = []"),
    "no object": ("[1, 2]", "holds list"),
    "empty": ("", "not valid JSON"),
    "torn": ('{"loop": {"max_rounds": 3', "not valid JSON"),
    "trailing comma": ('{"loop": {},}', "not valid JSON"),
    "comma missing": ('{\n "cv": {"folds": 3}\n\n "loop": {}\n}', "(a comma may be missing at the end of line 2)"),
    "key twice": ('{"cv": {"seed": 1, "seed": 2}}', "'seed' stands twice"),
    "infinity": ('{"loop": {"target_score": Infinity}}', "no number"),
    "empty date": ('{"loop": {"deadline": ""}}', 'loop.deadline = "" is wrong: write it like "20'),
    "bad date": ('{"loop": {"deadline": "tomorrow"}}', 'loop.deadline = "tomorrow" is wrong: write it like "20'),
    "bad name": ('{"competition": {"name": "../x"}}', "competition.name"),
    "deep": ("[" * 100_000, "not valid JSON"),
    "seed below 0": ('{"cv": {"seed": -5}}', "cv.seed = -5"),
    "cores beyond reason": ('{"execution": {"cores": 999999999999999999999999}}', "execution.cores"),
    "NUL": (r'{"competition": {"train": "a\u0000"}}', "holds a NUL or half a character"),
    "NUL behind a backslash": (r'{"competition": {"train": "a\\\u0000"}}', "holds a NUL or half a character"),
    "half a character": (r'{"agents": {"builder": {"model": "\ud800"}}}', "holds a NUL or half a character"),
    "text for a list": ('{"competition": {"target_columns": "y"}}', 'is wrong: write ["y"]'),
    "text for a section": ('{"agents": {"builder": "offline"}}', 'an object, as in {"backend": "offline"}'),
    "key as model": ('{"agents": {"builder": {"model": "sk-ant-api03-a1234567"}}}', "agents.builder.model holds what"),
    "key as a name": ('{"sk-ant-api03-a1234567": 1}', "(a key, not shown) holds what looks like a key"),
    "key in an address": ('{"execution": {"address": "ray://sk-ant-api03-a1234567@host"}}', "execution.address holds"),
    "key in a list": ('{"knowledge_files": ["AKIAABCDEFGHIJKLMNOP"]}', "knowledge_files holds"),
}


@pytest.mark.parametrize("text, part", BROKEN.values(), ids=BROKEN.keys())
def test_broken_config_is_one_sentence(tmp_path: Path, text: str, part: str) -> None:
    path = tmp_path / "config.json"
    path.write_text(text)
    with pytest.raises(BadInput) as caught:
        config.load(path, {})
    assert part in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "1234" not in str(caught.value), "what may be a key is not shown"


@pytest.mark.parametrize(
    "name", ["hf_power_spectral_density_mean", "gsk_compound_concentration", "/data/sk-learn-tutorial", "SK_ID"]
)
def test_names_that_begin_like_keys_are_none(tmp_path: Path, name: str) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"competition": {"target_columns": [name]}}))
    assert config.load(path, {}).competition.target_columns == [name]


def test_missing_and_unreadable(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="is missing"):
        config.load(tmp_path / "config.json", {})
    (tmp_path / "config.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadInput, match="can't be read"):
        config.load(tmp_path / "config.json", {})


def test_environment_wins_over_the_file(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text('{"loop": {"max_rounds": 3, "patience": 2}}')
    loaded = config.load(path, {"AUTOKAGGLE_LOOP__MAX_ROUNDS": "9", "AUTOKAGGLE_COMPETITION__NAME": "mine"})
    assert (loaded.loop.max_rounds, loaded.loop.patience, loaded.competition.name) == (9, 2, "mine")
    with pytest.raises(BadInput, match=r"loop\.max_rounds"):
        config.load(path, {"AUTOKAGGLE_LOOP__MAX_ROUNDS": "many"})


def test_dump_and_load_agree(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(config.as_json(config.Config()))
    assert config.load(path, {}) == config.Config()


@pytest.mark.parametrize("wrong", [-1, "all", None, [0]])
def test_gpus_are_a_number(tmp_path: Path, wrong: object) -> None:
    path = tmp_path / "config.json"
    for right in (0, 1, 0.5):
        path.write_text(json.dumps({"execution": {"gpus": right}}))
        assert config.load(path, {}).execution.gpus == right
    path.write_text(json.dumps({"execution": {"gpus": wrong}}))
    with pytest.raises(BadInput, match=r"execution\.gpus"):
        config.load(path, {})


@pytest.mark.parametrize("key", ["cache_gb", "disk_gb", "memory_gb", "gpus", "experiment_minutes"])
@pytest.mark.parametrize("value", ["Infinity", "NaN", "1e308", "1e12"])
def test_what_no_machine_has_is_refused(tmp_path: Path, key: str, value: str) -> None:
    """Also where JSON's own check does not look: in the environment."""
    path = tmp_path / "config.json"
    path.write_text("{}")
    with pytest.raises(BadInput, match=rf"execution\.{key}"):
        config.load(path, {f"AUTOKAGGLE_EXECUTION__{key.upper()}": value})


def test_the_committed_config_is_valid() -> None:
    path = Path(__file__).parent.parent / "config.json"
    assert config.load(path, {}).competition.builtin == "digits"
    assert json.loads(path.read_text())["loop"]["max_rounds"]


@pytest.mark.parametrize("name", ["config.py", "agent_settings.py"])
def test_every_setting_says_what_it_means(name: str) -> None:
    tree = ast.parse((Path(config.__file__).parent / name).read_text())
    silent = []
    for section in (node for node in tree.body if isinstance(node, ast.ClassDef) and not ast.get_docstring(node)):
        for node, after in zip(section.body, [*section.body[1:], None], strict=True):
            told = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
            if isinstance(node, ast.AnnAssign) and not told and not ast.unparse(node.annotation).endswith("Section"):
                silent.append(f"{section.name}.{ast.unparse(node.target)}")
    assert silent == []
