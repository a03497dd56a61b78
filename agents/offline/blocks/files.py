"""Features from small text files that belong to single rows: the row's id is in the file's path."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from agents.offline.blocks.core import Clock, Data, label_key
from agents.offline.blocks.recall import recall

MOST_BYTES = 200_000
MOST_POINTS = 400
TRIED = 40  # files, whose time tells that of all
Table = dict[str, float]


def row_files(data: Data, option: Any) -> None:
    """Counts and statistics of the numbers in each row's files; distances where they hold points in space.

    Nothing where the tables have columns file_… already: what the rows' files hold was joined to them.
    """
    told = any(name.startswith("file_") for name in (*data.numbers, *data.cats, *data.texts))
    places = [] if told else files_of_rows(data)
    if not places:
        return
    found = recall(data, "row files", contents(places), partial(columns_of, data, places))
    data.numbers |= {f"file.{key}": values for key, values in found.items()}
    print(f"row files: {len(found)} columns from {sum(path is not None for path in places)} files", flush=True)


def contents(places: list[Path | None]) -> Iterator[str]:
    """What the files hold, one by one."""
    for path in places:
        yield path.read_text(errors="replace") if path is not None else ""


def columns_of(data: Data, places: list[Path | None]) -> dict[str, np.ndarray]:
    """The columns that the files give; none when there is no time for all files.

    They may take nearly all the time: a fold without them would be unlike the others, and they are read once.
    """
    found = read_all(places, Clock(1.2 * data.clock.left()))
    if not found:
        print(f"row files: there is no time for {len(places)} files", flush=True)
        return {}
    counts: dict[str, int] = {}
    for table in found:
        for key in table:
            counts[key] = counts.get(key, 0) + 1
    names = sorted((key for key in counts if counts[key] > 0.02 * len(found)), key=lambda key: -counts[key])[:200]
    columns = {key: np.array([row.get(key, np.nan) for row in found]) for key in names}
    return {key: values for key, values in columns.items() if len(np.unique(values[: data.n_train])) > 1}


def read_all(places: list[Path | None], clock: Clock) -> list[Table]:
    """The summary of each row's file; empty when there is no time for all: rows without would be unlike the others."""
    found: list[Table] = []
    most = clock.left()
    for i, path in enumerate(places):
        if clock.left() < 0 or (i == TRIED and (most - clock.left()) * len(places) > i * most):
            return []
        found.append(summary(path) if path is not None else {})
    return found


def files_of_rows(data: Data) -> list[Path | None]:
    """For each row the file whose folder or name is its id, in the folder named as the row's table if there is one."""
    root = data.folder / "data"
    by_side: dict[str, dict[str, Path]] = {"train": {}, "test": {}}
    walked = os.walk(root, followlinks=True)
    for path in sorted(Path(folder) / name for folder, _, names in walked for name in names):
        parts = path.relative_to(root).parts
        if len(parts) < 2 or path.stat().st_size > MOST_BYTES:
            continue
        sides = [side for side in by_side if any(side in part.lower() for part in parts[:-1])] or list(by_side)
        for side in sides:
            for key in (*parts[1:-1], path.stem):
                by_side[side].setdefault(key, path)
    if data.ids is None or not any(by_side.values()):
        return []
    labelled = data.sizes[0] + data.sizes[1]
    sides = ["train" if row < labelled else "test" for row in range(len(data.ids))]
    places = [
        by_side[side].get(str(key), by_side[side].get(label_key(key)))
        for side, key in zip(sides, data.ids, strict=True)
    ]
    return places if sum(path is not None for path in places) > 0.5 * max(1, len(places)) else []


def summary(path: Path) -> Table:
    """What one text file says: lines of each kind (their words), and the numbers in them by position."""
    kinds: dict[tuple[str, ...], list[list[float]]] = {}
    for line in path.read_text(errors="replace").splitlines():
        if line.startswith("#"):
            continue
        numbers: list[float] = []
        labels: list[str] = []
        for token in line.replace(",", " ").replace(";", " ").split():
            try:
                numbers.append(float(token))
            except ValueError:
                labels.append(token[:20])
        if numbers:
            kinds.setdefault(tuple(labels[:3]), []).append(numbers[:8])
    found: Table = {}
    box, clouds = None, {}
    for words, rows in list(kinds.items())[:20]:
        name, width = "_".join(words) or "plain", min(map(len, rows))
        table = np.nan_to_num([row[:width] for row in rows], posinf=0.0, neginf=0.0)
        found[f"{name}.lines"] = float(len(rows))
        shapes = {
            "mean": table.mean(axis=0),
            "std": table.std(axis=0),
            "low": table.min(axis=0),
            "high": table.max(axis=0),
        }
        found |= {f"{name}.{i}.{key}": float(values[i]) for key, values in shapes.items() for i in range(width)}
        if width == 3 and len(rows) == 3 and len(words) == 1:
            box = table
        elif width == 3:
            clouds["_".join(words[1:]) or name] = table
    if box is not None:
        found |= {"box.volume": abs(float(np.linalg.det(box))), "box.longest": float(np.linalg.norm(box, axis=1).max())}
    if sum(map(len, clouds.values())) >= 4:
        found |= distances(clouds, box)
    return found


def distances(clouds: dict[str, np.ndarray], box: np.ndarray | None) -> Table:
    """Nearest neighbours among points of each pair of labels; across the faces of a periodic box when there is one."""
    found: Table = {}
    labels = sorted(clouds)[:6]
    points = np.vstack([clouds[label] for label in labels])[:MOST_POINTS]
    kinds = np.concatenate([np.full(len(clouds[label]), i) for i, label in enumerate(labels)])[:MOST_POINTS]
    gaps = points[:, None, :] - points[None, :, :]
    if box is not None and abs(np.linalg.det(box)) > 1e-9:
        shifts = gaps @ np.linalg.inv(box)
        gaps = (shifts - np.round(shifts)) @ box
        found["box.per_point"] = abs(float(np.linalg.det(box))) / len(points)
    far = np.sqrt((gaps**2).sum(axis=2))
    np.fill_diagonal(far, np.inf)
    for i, a in enumerate(labels):
        for j, b in enumerate(labels):
            block = np.sort(far[np.ix_(kinds == i, kinds == j)], axis=1)
            if not block.size or not np.isfinite(block[:, 0]).any():
                continue
            first = block[:, 0][np.isfinite(block[:, 0])]
            near = block[np.isfinite(block) & (block < 1.3 * np.median(first))]
            name = f"near.{a}.{b}"
            found |= {f"{name}.mean": first.mean(), f"{name}.std": first.std(), f"{name}.low": first.min()}
            found |= {f"{name}.count": len(near) / len(block), f"{name}.around": float(near.mean())}
    return {key: float(value) for key, value in found.items()}
