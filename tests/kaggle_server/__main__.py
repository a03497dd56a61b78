"""`python -m tests.kaggle_server --state FOLDER`: prints its port, serves until its stdin closes."""

from __future__ import annotations

import argparse
import os
import sys
import threading
from pathlib import Path

from tests.kaggle_server import kernel_runs
from tests.kaggle_server.handler import Handler, Server
from tests.kaggle_server.site import Site


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--state", type=Path, required=True)
    arguments = parser.parse_args()
    site = Handler.site = Site(arguments.state)
    server = Server(("127.0.0.1", arguments.port), Handler)
    site.port = server.server_address[1]
    print(site.port, flush=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.read()
    kernel_runs.stop_all(site)
    os._exit(0)


if __name__ == "__main__":
    main()
