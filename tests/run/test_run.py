"""`run` as a person types it, against a local Kaggle in its own process."""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd
import pytest

from orchestrator.cli import main
from tests.kaggle_server.start import Kaggle
from tests.run.person import SLUG, URL, Person, config, tables


@pytest.fixture(scope="module")
def played(server: Kaggle, tmp_path_factory: pytest.TempPathFactory) -> tuple[Person, str]:
    """One run from nothing, with its submission, and what it printed."""
    person = Person(server, tmp_path_factory.mktemp("played"))
    code, said = person.types("run", URL, "--submit")
    assert code == 0, said
    return person, said


class TestFromNothing:
    def test_it_leaves_a_valid_submission(self, played: tuple[Person, str]) -> None:
        person, said = played
        made = pd.read_csv(person.folder / SLUG / "submission.csv")
        assert list(made.columns) == ["id", "kind"] and len(made) == 80 and set(made["kind"]) <= {0, 1}
        assert "downloading two-moons" in said and "submission.csv holds the predictions of R01" in said

    def test_it_was_submitted_once_and_scored(self, played: tuple[Person, str]) -> None:
        person, said = played
        (sent,) = person.server.submissions(SLUG)
        assert float(sent["public"]) > 0.7 and "It was submitted and scored" in said
        assert person.server.leaks() == []

    def test_status_and_logs(self, played: tuple[Person, str]) -> None:
        person, _ = played
        code, said = person.types("-C", SLUG, "status")
        assert code == 0 and "two-moons: accuracy" in said and "R01" in said
        code, said = person.types("-C", SLUG, "logs")
        assert code == 0 and "R01 KEEP" in said

    def test_the_same_command_goes_on_and_submits_nothing_without_submit(self, played: tuple[Person, str]) -> None:
        person, _ = played
        (person.folder / SLUG / "submission.csv").unlink()
        code, said = person.types("run", SLUG)
        assert code == 0 and "Going on with the campaign" in said and "downloading" not in said
        assert (person.folder / SLUG / "submission.csv").exists()
        assert len(person.server.submissions(SLUG)) == 1

    def test_another_competition_needs_another_folder(self, played: tuple[Person, str]) -> None:
        person, _ = played
        code, said = person.types("run", "other-one", SLUG)
        assert code == 2 and f"holds the campaign of {SLUG}, not of other-one" in said


class TestWithoutRunning:
    def test_the_pipeline_is_written_and_not_run(self, person: Person) -> None:
        person.plays_quickly()
        code, said = person.types("run", URL, "mine", "--no-execute")
        rounds = person.folder / "mine" / "rounds"
        assert code == 0 and "was not run" in said, said
        compile((rounds / "R01_experiment.py").read_text(), "R01_experiment.py", "exec")
        assert not (rounds / "R01_scores.json").exists() and not list((rounds.parent).glob("submission.csv"))
        assert config(rounds.parent)["submissions"]["enabled"] is False
        code, said = person.types("run", URL, "mine", "--no-execute")
        assert code == 0 and not (rounds / "R01_scores.json").exists()
        code, said = person.types("run", URL, "mine")
        assert code == 0 and (rounds.parent / "submission.csv").exists(), said
        assert "or repeat the command with --submit" in said
        before = len(person.server.submissions(SLUG))
        code, said = person.types("run", URL, "mine", "--submit")
        assert code == 0 and "It was submitted and scored" in said, said
        assert len(person.server.submissions(SLUG)) == before + 1

    def test_a_folder_of_tables(self, person: Person) -> None:
        made = tables(person.folder / "data")
        made.answers = None
        made.write()
        code, said = person.types("run", "data", "--no-execute", "--submit")
        assert "--submit has no effect here: no answers" in said
        assert code == 0 and (person.folder / "data-campaign" / "rounds" / "R01_experiment.py").exists(), said

    def test_data_that_are_there_are_not_downloaded(self, person: Person) -> None:
        person.types("new", "first", "--kaggle", URL)
        before = person.server.count("storage GET")
        code, said = person.types("run", URL, "--skip-download", "--no-execute")
        assert code == 0 and (person.folder / SLUG / "rounds" / "R01_experiment.py").exists(), said
        assert person.server.count("storage GET") == before


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["run", "../../x"], "no competition"),
        (["run", "./titanik"], "/titanik is no folder that exists, and './titanik' is no competition"),
        (["run", "https://www.kaggle.com/datasets/x"], "no competition's page"),
        (["run", "Some Words"], "no competition"),
        (["run", "titanic", "--rounds", "0"], "--rounds 0: give a number above 0"),
        (["new", "x", "--kaggle", "$(id)"], "no competition"),
        (["new", "x", "--submit"], "belong to --kaggle"),
    ],
)
def test_bad_words(words: list[str], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    here = Path.cwd()
    os.chdir(tmp_path)
    try:
        assert main(words) == 2
    finally:
        os.chdir(here)
    assert sentence in capsys.readouterr().err and not list(tmp_path.iterdir())
