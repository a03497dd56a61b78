"""Downloads in processes of their own: two at a time, and killed."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from orchestrator.competitions.kaggle.cache import cached
from tests.competitions.kaggle.shop import STORAGE, Shop

ROOT = Path(__file__).resolve().parents[3]
FETCH = """
import os, sys
from pathlib import Path
from orchestrator.competitions.kaggle.cache import cache_of, obtain
from orchestrator.competitions.kaggle.client import KaggleClient
from orchestrator.competitions.kaggle.credentials import find
slug, root = sys.argv[1], Path(sys.argv[2])
with cache_of(slug, root, print) as home, KaggleClient(find(os.environ)) as client:
    print("done", obtain(client, slug, home, print).folder)
"""


def start(shop: Shop, folder: Path) -> subprocess.Popen[str]:
    environment = {**shop.server.environment(folder / "home"), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", FETCH, shop.slug, str(shop.root)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


def test_two_at_a_time_download_once(shop: Shop, tmp_path: Path) -> None:
    before = shop.server.count("DownloadDataFiles")
    outputs = [process.communicate(timeout=60)[0] for process in [start(shop, tmp_path) for _ in range(2)]]
    assert all("done" in output for output in outputs)
    assert sum("waiting for it" in output for output in outputs) == 1
    assert shop.server.count("DownloadDataFiles") == before + 1


def test_killed_at_20_random_moments_it_ends_right(shop: Shop, tmp_path: Path) -> None:
    """Every third kill comes at any time since the start, the others while bytes arrive or soon after."""
    moments, before = random.Random(20), shop.server.count(STORAGE)
    for kill in range(20):
        shop.server.settings(storage_bytes_per_s=moments.choice([8_000_000, 30_000_000]))
        seen = shop.server.count(STORAGE)
        process = start(shop, tmp_path)
        if kill % 3:
            shop.server.wait_for(STORAGE, seen + 1, 60)
        time.sleep(moments.uniform(0.0, 0.5))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        if cached(shop.root / shop.slug):
            shutil.rmtree(shop.root)
    shop.server.settings(storage_bytes_per_s=0.0)
    assert shop.fetch() == shop.expected
    statuses = [entry.get("status") for entry in shop.server.log(STORAGE)[before:]]
    assert statuses.count(206) >= 3, "nothing was gone on with"
