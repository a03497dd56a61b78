"""A process that has imported all that a campaign needs and forks one on request: a real process, without the start-up.

Each line on stdin is `FOLDER<tab>SEED<tab>PAUSE`; the child's pid comes back, then, when it has ended, its wait status.
With PAUSE = 1 the child stops itself first, so that a tracer can attach before its first system call.
"""

import gc
import importlib
import io
import os
import random
import signal
import sys

HEAVY = (
    "agents.scripted",
    "anthropic.resources.messages",
    "filelock",
    "openai.resources.chat.completions",
    "orchestrator.board",
    "orchestrator.campaign",
    "orchestrator.cli",
    "orchestrator.competitions.grading",
    "orchestrator.competitions.local",
    "orchestrator.loop",
    "orchestrator.open_and_play",
    "orchestrator.plots",
    "orchestrator.referee.probes",
    "orchestrator.report",
    "orchestrator.ui",
    "orchestrator.views",
    "pandas.io.formats.csvs",
    "psutil",
    "pyarrow.csv",
    "pyarrow.pandas_compat",
    "pyarrow.parquet",
    "rich.console",
    "rich.live",
)


def main() -> None:
    for name in HEAVY:
        importlib.import_module(name)
    from matplotlib.figure import Figure

    from orchestrator import cli

    Figure().savefig(io.BytesIO())  # fonts and image formats are read with the first picture
    gc.freeze()
    for line in sys.stdin:
        folder, seed, pause = line.rstrip("\n").split("\t")
        pid = os.fork()
        if pid == 0:
            random.seed(int(seed))
            log = os.open(f"{folder}.out", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.dup2(log, 1)
            os.dup2(log, 2)
            if pause == "1":
                os.kill(os.getpid(), signal.SIGSTOP)
            os._exit(cli.main(["loop", "-C", folder, "--plain"]))
        print(pid, flush=True)
        print(os.waitpid(pid, 0)[1], flush=True)


if __name__ == "__main__":
    main()
