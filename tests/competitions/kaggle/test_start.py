"""Campaigns from a competition on a local Kaggle: what is stated, what is guessed, what is refused."""

from __future__ import annotations

import json
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from orchestrator import config
from orchestrator.competitions.kaggle.client import KaggleClient
from orchestrator.competitions.kaggle.errors import NeedsPerson, NotThere
from orchestrator.competitions.kaggle.start import Start
from orchestrator.competitions.tables import read_table
from orchestrator.config import Config
from orchestrator.errors import BadInput
from tests.competitions.making import Folder
from tests.kaggle_server.start import Kaggle

NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)
PAGES = {
    "Description": "<p>Guess <b>y</b>.</p><p>It is fun.</p>",
    "Evaluation": "Submissions are evaluated on area under the ROC curve.",
    "rules": "Be nice.",
}


class Place:
    """A competition of three small tables, and the campaign that is made of it."""

    def __init__(self, server: Kaggle, client: KaggleClient, folder: Path, slug: str) -> None:
        self.client: KaggleClient | None = client
        self.server, self.slug, self.root = server, slug, folder / "campaigns" / slug
        self.tables = Folder(folder / "remote")
        self.tables.target("y", self.tables.rng.integers(0, 2, 200), 0.5)
        self.environment = {**server.environment(folder / "home"), "XDG_CACHE_HOME": str(folder / "cache")}
        self.said: list[str] = []
        server.control("clear")

    def serve(self, **settings: Any) -> None:
        folder = self.tables.write()
        self.server.competition(self.slug, **{"folder": str(folder), "pages": PAGES, **settings})

    def make(self, **options: Any) -> list[str]:
        start = Start(
            self.slug,
            self.root,
            lambda: NOW,
            self.said.append,
            environment=self.environment,
            client=self.client,
            **options,
        )
        return start.make()

    @property
    def config(self) -> Config:
        return config.load(self.root / "config.json", {})

    @property
    def data(self) -> Path:
        return self.root / "competition" / "data"


@pytest.fixture
def place(server: Kaggle, client: KaggleClient, tmp_path: Path, request: pytest.FixtureRequest) -> Place:
    slug = "".join(mark if mark.isalnum() else "-" for mark in request.node.name.lower())[:90].strip("-")
    return Place(server, client, tmp_path, slug)


def board(scores: list[float]) -> list[dict[str, Any]]:
    return [{"team": f"team {place}", "score": score} for place, score in enumerate(scores)]


class TestStated:
    def test_everything_that_kaggle_tells(self, place: Place) -> None:
        place.serve(metric_text="Log Loss", daily_limit=7, deadline="2026-05-01T23:59:00Z", title="Some Fun")
        lines = place.make()
        made = place.config
        assert (made.competition.kind, made.competition.slug, made.competition.name) == (
            "kaggle",
            place.slug,
            place.slug,
        )
        assert (made.competition.metric, made.competition.daily_limit) == ("log_loss", 7)
        assert made.loop.deadline == "2026-05-01T23:59:00+00:00"
        assert made.guesses["competition.metric"] == "Kaggle calls the metric 'Log Loss'"
        assert any("deadline  2026-05-01 23:59 UTC" in line for line in lines)
        text = (place.data / "description.md").read_text()
        assert text.startswith("# Some Fun\n") and "Guess y." in text and "nice" not in text
        assert "Be nice." in (place.data / "pages" / "rules.md").read_text()
        assert not (place.root / "competition" / "private").exists()
        assert place.server.leaks() == []

    def test_every_guess_has_a_reason_and_names_a_setting(self, place: Place) -> None:
        place.serve()
        place.make()
        for dotted, why in place.config.guesses.items():
            section, key = dotted.split(".")
            assert hasattr(getattr(place.config, section), key) and why

    def test_a_second_campaign_downloads_nothing(self, place: Place) -> None:
        place.serve()
        place.make()
        before = place.server.count("storage GET")
        place.root = place.root.with_name("second")
        place.make()
        assert place.server.count("storage GET") == before and (place.data / "train.csv").exists()


class TestSubmitting:
    @pytest.mark.parametrize(
        ("settings", "submit", "enabled", "sentence"),
        [
            ({}, False, False, "nobody asked for them"),
            ({}, True, True, "Submissions go out by themselves, at most 5 a day"),
            ({"deadline": "2020-01-01T00:00:00Z"}, False, False, "is over"),
            ({"deadline": "2020-01-01T00:00:00Z"}, True, True, "count for no ranking any more"),
            ({"submissions_disabled": True}, True, False, "takes none any more"),
            ({"code_only": True}, True, True, "takes notebooks only"),
            ({"entered": False}, True, True, "has not joined"),
        ],
    )
    def test_who_may_submit(
        self, place: Place, settings: dict[str, Any], submit: bool, enabled: bool, sentence: str
    ) -> None:
        place.serve(**settings)
        lines = place.make(submit=submit)
        assert place.config.submissions.enabled is enabled
        assert any(sentence in line for line in lines)
        assert ("submissions.enabled" in place.config.guesses) is not enabled

    def test_a_competition_that_is_over_is_played_all_the_same(self, place: Place) -> None:
        place.serve(deadline="2020-01-01T00:00:00Z")
        assert any("2020-01-01 00:00 UTC, which is over" in line for line in place.make())
        assert place.config.loop.deadline is None


class TestGuessed:
    def test_the_board_decides_between_readings(self, place: Place) -> None:
        place.serve(
            metric_text="Log Loss",
            pages={"Evaluation": "Scored by accuracy."},
            leaderboard=board([0.9, 0.8, 0.7, 0.6, 0.5]),
        )
        place.make()
        assert place.config.competition.metric == "accuracy"
        assert "the leaderboard's order agrees" in place.config.guesses["competition.metric"]

    def test_a_metric_of_their_own_and_a_board_that_rises(self, place: Place) -> None:
        scores = board([0.1, 0.2, 0.3, 0.4, 0.5])
        place.serve(metric_text="Our Own Thing", pages={}, leaderboard=scores, maximize=False)
        place.make()
        spec, why = place.config.competition, place.config.guesses["competition.metric"]
        assert (spec.metric, spec.maximize) == ("log_loss", None)
        assert "'Our Own Thing', as Kaggle calls it, is not known here" in why

    def test_a_board_against_the_metrics_usual_direction(self, place: Place) -> None:
        scores = board([0.1, 0.2, 0.3, 0.4, 0.5])
        place.serve(metric_text="Categorization Accuracy", leaderboard=scores, maximize=False, pages={})
        place.make()
        assert place.config.competition.maximize is False
        assert "rise from best to worst" in place.config.guesses["competition.maximize"]

    def test_a_sample_submission_that_is_not_there(self, place: Place) -> None:
        place.serve()
        (place.tables.path / "sample_submission.csv").unlink()
        place.make()
        sample = read_table(place.data / "sample_submission.csv")
        assert list(sample.columns) == ["id", "y"] and len(sample) == 60
        assert "made here" in place.config.guesses["competition.sample_submission"]

    def test_its_header_stands_in_the_description(self, place: Place) -> None:
        place.tables.train["extra"] = 1.5
        place.serve(pages={"Evaluation": "Hand in:\n\n```\nid,y\n201,0.5\n```\n\nScored by AUC."})
        (place.tables.path / "sample_submission.csv").unlink()
        place.make()
        assert place.config.competition.target_columns == ["y"]
        assert "the description shows its header" in place.config.guesses["competition.sample_submission"]

    def test_a_target_that_can_not_be_told(self, place: Place) -> None:
        place.tables.train = place.tables.train.rename(columns={"y": "w"}).assign(z=1.5)
        self.refused(place, "the target can't be told (columns that only train has: w, z)")

    def test_an_id_that_can_not_be_told(self, place: Place) -> None:
        place.tables.test = place.tables.test[["colour", "x2"]]
        self.refused(place, "no column of test.csv names its rows")

    @staticmethod
    def refused(place: Place, sentence: str) -> None:
        place.serve()
        (place.tables.path / "sample_submission.csv").unlink()
        with pytest.raises(BadInput) as caught:
            place.make()
        assert sentence in str(caught.value) and not place.root.exists()

    def test_tables_in_archives(self, place: Place) -> None:
        place.serve()
        for name in ("train", "test"):
            with zipfile.ZipFile(place.tables.path / f"{name}.csv.zip", "w") as archive:
                archive.write(place.tables.path / f"{name}.csv", f"{name}.csv")
            (place.tables.path / f"{name}.csv").unlink()
        (place.tables.path / "pictures.7z").write_bytes(b"7z\xbc\xaf\x27\x1c")
        lines = place.make()
        assert len(read_table(place.data / "train.csv")) == 200
        assert any("Left out: pictures.7z" in line for line in lines)
        assert not [path for path in place.data.rglob("*") if path.suffix in (".zip", ".7z")]


class TestRefused:
    def test_rules_that_are_not_accepted_and_then_are(self, place: Place) -> None:
        place.serve(rules_accepted=False)
        with pytest.raises(NeedsPerson, match=f"https://www.kaggle.com/competitions/{place.slug}/rules"):
            place.make()
        assert not place.root.exists() and not list(place.root.parent.glob(".*"))
        place.server.competition(place.slug, rules_accepted=True)
        place.make()
        assert place.config.competition.slug == place.slug

    def test_no_such_competition(self, place: Place) -> None:
        with pytest.raises(NotThere, match=place.slug):
            place.make()

    def test_no_credentials(self, place: Place) -> None:
        place.serve()
        (Path(place.environment["HOME"]) / ".kaggle" / "kaggle.json").unlink()
        place.client = None
        with pytest.raises(NeedsPerson, match="no usable Kaggle credentials"):
            place.make()

    def test_pictures_are_no_tables(self, place: Place, tmp_path: Path) -> None:
        (tmp_path / "pictures").mkdir()
        (tmp_path / "pictures" / "1.png").write_bytes(b"png")
        place.server.competition(place.slug, folder=str(tmp_path), names={})
        with pytest.raises(BadInput) as caught:
            place.make()
        assert "pictures/" in str(caught.value) and "new DIR --from FOLDER" in str(caught.value)
        assert "\n" not in str(caught.value) and not place.root.exists()

    def test_a_place_in_use(self, place: Place) -> None:
        place.serve()
        place.root.mkdir(parents=True)
        (place.root / "mine.txt").write_text("mine")
        with pytest.raises(BadInput, match="is not empty"):
            place.make()
        assert [path.name for path in place.root.iterdir()] == ["mine.txt"]

    def test_what_a_kill_left_is_swept(self, place: Place) -> None:
        place.serve()
        left = place.root.with_name(f".{place.root.name}.abc.new")
        left.mkdir(parents=True)
        place.make()
        assert not left.exists()


class TestSkippingTheDownload:
    def offline(self, place: Place) -> None:
        (Path(place.environment["HOME"]) / ".kaggle" / "kaggle.json").unlink()
        place.client = None

    def test_from_the_cache_without_any_network(self, place: Place) -> None:
        place.serve(metric_text="Log Loss", daily_limit=9)
        place.make()
        self.offline(place)
        place.root = place.root.with_name("second")
        lines = place.make(skip_download=True)
        assert (place.config.competition.metric, place.config.competition.daily_limit) == ("log_loss", 9)
        assert any("this is what it said before" in line for line in lines)

    def test_nothing_anywhere(self, place: Place) -> None:
        place.serve()
        with pytest.raises(BadInput, match="competition/data, or leave --skip-download out"):
            place.make(skip_download=True)
        assert not place.root.exists()

    def test_data_that_were_put_there_by_hand(self, place: Place) -> None:
        place.serve(metric_text="Log Loss")
        place.data.mkdir(parents=True)
        for name in ("train", "test", "sample_submission"):
            with zipfile.ZipFile(place.data / f"{name}.zip", "w") as archive:
                archive.write(place.tables.path / f"{name}.csv", f"{name}.csv")
        before = place.server.count("storage GET")
        place.make(skip_download=True)
        assert place.server.count("storage GET") == before
        assert place.config.competition.metric == "log_loss" and (place.data / "train.zip").exists()
        with pytest.raises(BadInput, match="already holds a campaign"):
            place.make(skip_download=True)

    def test_by_hand_and_offline(self, place: Place) -> None:
        self.offline(place)
        place.tables.described("The log loss.")
        place.data.mkdir(parents=True)
        for path in place.tables.write().iterdir():
            (place.data / path.name).write_bytes(path.read_bytes())
        lines = place.make(skip_download=True)
        assert place.config.competition.metric == "log_loss" and place.config.competition.daily_limit == 5
        assert any("guessed from the data alone" in line for line in lines)


def test_a_hostile_meta_file_states_nothing(place: Place) -> None:
    place.serve()
    (place.tables.path / "meta.json").write_text(json.dumps({"metric": "rmse", "slug": "../../x"}))
    (place.tables.path / "answers.csv").write_text("id,y\n201,1\n")
    place.make()
    assert place.config.competition.metric == "auc" and place.config.competition.name == place.slug
    assert not (place.root / "competition" / "private").exists()
