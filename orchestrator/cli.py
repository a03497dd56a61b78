"""The commands of `python -m orchestrator [-C DIR]`: run, loop, status, logs, report, new, doctor, settings, grade."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from orchestrator.errors import AutoKaggleError, BadInput

Clock = Callable[[], datetime]
EXAMPLES = {
    "run": "run https://www.kaggle.com/competitions/titanic --submit --rounds 3",
    "loop": "-C mine loop --rounds 10",
    "status": "-C mine status",
    "logs": "-C mine logs --follow",
    "report": "-C mine report",
    "new": "new mine --from path/to/folder",
    "inputs": "-C mine inputs 3 IN --fold 2",
    "doctor": "-C mine doctor",
    "settings": "-C mine settings folds",
    "grade": "-C mine grade mine/rounds/R03_submission.csv",
}


def utc_now() -> datetime:
    return datetime.now(UTC)


def main(argv: Sequence[str] | None = None, *, now: Clock = utc_now) -> int:
    """Run one command; returns the exit code (0 fine, 2 bad input, 3 busy, 4 unusable, 5 competition, 130 stopped)."""
    arguments = parser().parse_args(argv)
    try:
        return int(arguments.run(arguments, now))
    except AutoKaggleError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("stopped at once; the same command goes on", file=sys.stderr)
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except OSError as error:
        print(f"error: {error}; nothing is lost, the same command goes on once it is mended", file=sys.stderr)
        return 4


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(
        prog="python -m orchestrator",
        description="AutoKaggle plays a Kaggle competition unattended: research, plan, review, code, verify, submit, "
        "learn, round after round. Killed at any instant, the same command goes on.",
    )
    folder = argparse.ArgumentParser(add_help=False)
    folder.add_argument(
        "-C",
        dest="campaign",
        type=Path,
        default=argparse.SUPPRESS,
        metavar="DIR",
        help="the campaign's folder (default: here)",
    )
    top.add_argument("-C", dest="campaign", type=Path, default=Path("."), metavar="DIR", help="the campaign's folder")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, run: Callable[[argparse.Namespace, Clock], int], text: str) -> argparse.ArgumentParser:
        example = f"example: {top.prog} {EXAMPLES[name]}"
        made = commands.add_parser(name, help=text, description=text, parents=[folder], epilog=example)
        made.set_defaults(run=run)
        return made

    _add_run(command("run", _run, "a Kaggle competition or a folder of tables, from nothing to submission.csv"))
    loop = command("loop", _loop, "play rounds until the campaign ends; resumes where it was")
    loop.add_argument(
        "--rounds", type=int, metavar="N", help="end after N rounds, earlier runs counted in (loop.max_rounds)"
    )
    loop.add_argument(
        "--minutes", type=float, metavar="N", help="end after N minutes, earlier runs counted in (loop.minutes)"
    )
    _add_display(loop)
    loop.add_argument("--takeover", action="store_true", help="go on with a campaign that another machine played")
    command("status", _status, "where the campaign stands")
    logs = command("logs", _logs, "the campaign's log, or one round's")
    logs.add_argument("round", nargs="?", type=int, metavar="ROUND", help="its number (default: the whole campaign)")
    logs.add_argument("--follow", action="store_true", help="go on printing what is added")
    command("report", _report, "write REPORT.md with plots")
    new = command("new", _new, "make a campaign from a Kaggle competition, or from a folder of train and test tables")
    new.add_argument("directory", type=Path, metavar="NEW_DIR", help="the campaign's new folder")
    source = new.add_mutually_exclusive_group()
    source.add_argument("--from", dest="source", type=Path, metavar="FOLDER", help="default: the built-in competition")
    source.add_argument("--kaggle", metavar="SLUG_OR_URL", help="a competition on kaggle.com")
    _add_kaggle(new)
    inputs = command("inputs", _inputs, "lay out a fold's files, to run one experiment by hand")
    inputs.add_argument("round", type=int, metavar="ROUND", help="the number of the round whose experiment is to run")
    inputs.add_argument("target", type=Path, metavar="IN", help="the new folder, which the experiment reads")
    inputs.add_argument("--fold", type=int, default=1, metavar="K", help="counted from 1 (default: 1)")
    command("doctor", _doctor, "check this machine and say how to fix what is missing")
    settings = command("settings", _settings, "every setting of config.json: its value here, its default, its meaning")
    settings.add_argument("word", nargs="?", default="", metavar="WORD", help="a part of its name (default: all)")
    grade = command("grade", _grade, "score a submission file on the campaign's held-out answers")
    grade.add_argument("file", type=Path, metavar="FILE", help="a CSV in the form of the sample submission")
    return top


def _add_run(run: argparse.ArgumentParser) -> None:
    run.add_argument("source", metavar="SOURCE", help="the competition's page or slug, or a folder of tables")
    run.add_argument("directory", nargs="?", type=Path, metavar="DIR", help="the campaign's folder (default: ./SLUG)")
    run.add_argument("--rounds", type=int, metavar="N", help="end after N rounds (default: the first that is kept)")
    run.add_argument("--minutes", type=float, metavar="N", help="end after N minutes, earlier runs counted in")
    run.add_argument("--no-execute", action="store_true", help="write the first experiment and do not run it")
    _add_kaggle(run)
    _add_display(run)


def _add_kaggle(made: argparse.ArgumentParser) -> None:
    made.add_argument("--submit", action="store_true", help="let submissions go out by themselves")
    made.add_argument(
        "--skip-download",
        action="store_true",
        help="use the data that lie in DIR/competition/data or were downloaded before",
    )


def _add_display(made: argparse.ArgumentParser) -> None:
    made.add_argument("--plain", action="store_true", help="plain lines instead of the live display")
    made.add_argument("--i-accept-no-sandbox", action="store_true", help="run what agents write without any sandbox")


def _loop(arguments: argparse.Namespace, now: Clock) -> int:
    from orchestrator.open_and_play import open_and_play, overrides_of

    root = _campaign(arguments)
    overrides = overrides_of(
        rounds=arguments.rounds, minutes=arguments.minutes, no_sandbox=arguments.i_accept_no_sandbox
    )
    return open_and_play(root, overrides, now=now, plain=arguments.plain, takeover=arguments.takeover)


def _run(arguments: argparse.Namespace, now: Clock) -> int:
    from orchestrator.run import Run

    named = arguments.directory or (None if arguments.campaign == Path(".") else arguments.campaign)
    asked = Run(
        arguments.source,
        named,
        arguments.rounds,
        arguments.minutes,
        execute=not arguments.no_execute,
        skip_download=arguments.skip_download,
        submit=arguments.submit,
        plain=arguments.plain,
        no_sandbox=arguments.i_accept_no_sandbox,
    )
    return asked.go(now, lambda line: print(line, flush=True))


def _status(arguments: argparse.Namespace, now: Clock) -> int:
    from orchestrator.views import status

    print(status(_campaign(arguments)))
    return 0


def _logs(arguments: argparse.Namespace, now: Clock) -> int:
    from orchestrator.views import logs

    logs(_campaign(arguments), arguments.round, arguments.follow)
    return 0


def _report(arguments: argparse.Namespace, now: Clock) -> int:
    from orchestrator.report import write_report

    print(write_report(_campaign(arguments), now()))
    return 0


def _new(arguments: argparse.Namespace, now: Clock) -> int:
    if arguments.kaggle is not None:
        from orchestrator.competitions.kaggle.slug import slug_of
        from orchestrator.competitions.kaggle.start import Start

        asked = Start(
            slug_of(arguments.kaggle),
            arguments.directory,
            now,
            lambda line: print(line, flush=True),
            submit=arguments.submit,
            skip_download=arguments.skip_download,
        )
        lines = asked.make()
    else:
        from orchestrator.competitions.create import create

        if arguments.submit or arguments.skip_download:
            raise BadInput("--submit and --skip-download belong to --kaggle: name the competition")
        lines = create(arguments.directory, arguments.source)
    for line in lines:
        print(line)
    return 0


def _doctor(arguments: argparse.Namespace, now: Clock) -> int:
    from orchestrator.doctor import diagnose, exit_code, render

    checks = diagnose(arguments.campaign if (arguments.campaign / "config.json").exists() else None)
    print(render(checks))
    return exit_code(checks)


def _settings(arguments: argparse.Namespace, now: Clock) -> int:
    from orchestrator import config
    from orchestrator.settings_page import page

    here = arguments.campaign == Path(".") and not Path("config.json").exists()
    settings = config.Config() if here else config.load(_campaign(arguments) / "config.json")
    print(page(settings, arguments.word))
    return 0


def _grade(arguments: argparse.Namespace, now: Clock) -> int:
    from orchestrator import config
    from orchestrator.competitions.local import LocalCompetition
    from orchestrator.competitions.metrics import metric_of

    root = _campaign(arguments)
    settings = config.load(root / "config.json")
    competition = LocalCompetition(root, settings, now=now)
    grade = competition.grade(arguments.file)
    if not grade.valid:
        named = grade.error.startswith(arguments.file.name)
        raise BadInput(f"{arguments.file}{grade.error[len(arguments.file.name) :] if named else f': {grade.error}'}")
    parts = ((name, getattr(grade, name)) for name in ("score", "public", "private"))
    told = ", ".join(f"{name} {value:.6g}" for name, value in parts if value is not None)
    print(f"{told} ({metric_of(settings.competition, root).name})" if told else "valid, not graded here")
    return 0


def _inputs(arguments: argparse.Namespace, now: Clock) -> int:
    from orchestrator import config
    from orchestrator.referee.by_hand import lay_out

    root = _campaign(arguments)
    lay_out(root, config.load(root / "config.json"), arguments.round, arguments.fold - 1, arguments.target)
    script = root / "rounds" / f"R{arguments.round:02d}_experiment.py"
    print(f"now: mkdir OUT && {sys.executable} {script} {arguments.target} OUT")
    return 0


def _campaign(arguments: argparse.Namespace) -> Path:
    root: Path = arguments.campaign.resolve()
    if not root.is_dir():
        raise BadInput(f"{root} is not a folder: give the campaign's folder with -C DIR")
    if not (root / "config.json").is_file():
        raise BadInput(f"{root} has no config.json: go to a campaign's folder or give it with -C DIR")
    return root
