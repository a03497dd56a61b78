"""How long `--help` and `status` take from the start of the process. The bar is 0.3 s."""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.timing import command, seconds, shown
from tests.playing import Script


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        Script(Path(folder), 1).play()
        print(shown("python -c pass", seconds(command("-c", "pass"))))
        print(shown("orchestrator --help", seconds(command("-m", "orchestrator", "--help"))))
        print(shown("orchestrator status", seconds(command("-m", "orchestrator", "-C", folder, "status"))))


if __name__ == "__main__":
    main()
