"""`run` when Kaggle, the account or the machine have a bad day: nothing is lost, the same command goes on."""

from __future__ import annotations

import pytest

from tests.run.person import SLUG, URL, Person


def test_killed_again_and_again_it_ends_right(person: Person) -> None:
    person.plays_quickly()
    campaign, server = person.folder / SLUG, person.server
    before = len(server.submissions(SLUG))
    server.fault("storage GET", {"kind": "hang", "seconds": 5})
    seen = server.count("storage GET")
    person.kills(lambda: server.count("storage GET") > seen, "run", URL, "--submit")
    person.kills((campaign / "config.json").exists, "run", URL, "--submit")
    person.kills((campaign / "rounds" / "R00_folds.json").exists, "run", URL, "--submit")
    person.kills((campaign / "rounds" / "R00_profile.json").exists, "run", URL, "--submit")
    person.kills((campaign / "rounds" / "R01_experiment.py").exists, "run", URL, "--submit")
    person.kills((campaign / "rounds" / "R01_scores.json").exists, "run", URL, "--submit")
    code, said = person.types("run", URL, "--submit")
    assert code == 0 and (campaign / "submission.csv").exists(), said
    assert len(server.submissions(SLUG)) == before + 1
    assert sorted(path.name for path in person.folder.iterdir()) == ["home", SLUG]


def test_rules_that_are_not_accepted(person: Person) -> None:
    person.server.competition(SLUG, rules_accepted=False)
    try:
        code, said = person.types("run", URL, "--no-execute")
    finally:
        person.server.competition(SLUG, rules_accepted=True)
    assert code == 5 and f"https://www.kaggle.com/competitions/{SLUG}/rules" in said
    assert "Traceback" not in said and not (person.folder / SLUG).exists()
    code, said = person.types("run", URL, "--no-execute")
    assert code == 0, said


@pytest.mark.parametrize("kind", ["html", "disconnect"])
def test_a_bad_moment_is_waited_out(person: Person, kind: str) -> None:
    person.server.fault("GetCompetition", {"kind": kind})
    code, said = person.types("new", "made", "--kaggle", SLUG)
    assert code == 0, said
