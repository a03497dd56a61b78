"""A journal line is whole or not there, also on a full disk."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from agents.transcript import Transcript

FILL = """
import resource, sys
from pathlib import Path
from agents.transcript import Transcript

transcript = Transcript(Path(sys.argv[1]))
transcript.append("spawn", round=1)
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, resource.RLIM_INFINITY))
try:
    transcript.append("reply", text="x" * 4000)
except OSError as error:
    print("full", error.errno)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
transcript.append("reply", text="y" * 4000)
"""
ROOT = Path(__file__).resolve().parent.parent.parent


def test_a_line_that_did_not_fit_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "1.jsonl"
    done = subprocess.run([sys.executable, "-c", FILL, str(path)], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("full")
    assert [event["event"] for event in Transcript(path).events()] == ["spawn", "reply"]


def test_any_text_can_be_kept(tmp_path: Path) -> None:
    transcript = Transcript(tmp_path / "1.jsonl")
    transcript.append("reply", text="half \ud83d, whole 😀, line\u2028end")
    assert transcript.events() == [{"event": "reply", "text": "half ?, whole 😀, line\u2028end"}]
    assert [json.loads(line) for line in transcript.path.read_bytes().splitlines()] == transcript.events()
    transcript.close()
