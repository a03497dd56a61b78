"""A process that has imported all that a campaign needs and forks one on request: a real process, without the start-up.

Each line on stdin is `FOLDER<tab>SEED<tab>PAUSE`; the child's pid comes back, then, when it has ended, its wait status.
With PAUSE = 1 the child stops itself first, so that a tracer can attach before its first system call.
"""

import gc
import importlib
import os
import random
import signal
import sys

HEAVY = (
    "anthropic.resources.messages",
    "openai.resources.chat.completions",
    "matplotlib.backends.backend_agg",
    "matplotlib.figure",
    "orchestrator.campaign",
    "orchestrator.cli",
    "orchestrator.loop",
    "orchestrator.report",
    "pandas",
    "pyarrow.parquet",
)


def main() -> None:
    for name in HEAVY:
        importlib.import_module(name)
    from orchestrator import cli

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
