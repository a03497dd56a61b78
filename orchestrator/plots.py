"""The pictures of REPORT.md, as PNG bytes that depend on the records alone."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, ScalarFormatter

from orchestrator import show
from orchestrator.competitions import medals
from orchestrator.ledger import Entry
from orchestrator.rounds import label

KEEP, DISCARD, CRASH, BEST, INK = "#1a9850", "#8d99ae", "#d7301f", "#225ea8", "#333333"
VERDICTS = (("keep", "kept", KEEP), ("discard", "discarded", DISCARD), ("crash", "crashed", CRASH))
_STYLE: Any = {
    "font.size": 9.5,
    "axes.edgecolor": "#c8c8c8",
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#ececec",
    "axes.axisbelow": True,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "xtick.color": "#666666",
    "ytick.color": "#666666",
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "text.parse_math": False,
}


def scores(entries: list[Entry], metric: str, maximize: bool | None) -> bytes:
    """Score by round with standard errors, the best kept so far as a step line, rounds without a score aside."""
    measured = [entry for entry in entries if is_measured(entry)]
    kept = [entry for entry in measured if entry.get("status") == "keep"]
    others = [entry for entry in measured if entry.get("status") != "keep"]
    failed = [entry for entry in entries if not is_measured(entry)]
    better = "" if maximize is None else f" ({'higher' if maximize else 'lower'} is better)"

    def draw(axes: Axes) -> None:
        if measured:
            _limit(axes, measured, kept)
        elif entries:
            axes.set_ylim(0, 1)
            axes.set_yticks([])
        if kept:
            rounds = [*(entry["round"] for entry in kept), max(entry["round"] for entry in entries)]
            best = [*(entry["cv"] for entry in kept), kept[-1]["cv"]]
            axes.step(rounds, best, where="post", color=BEST, linewidth=1.6, alpha=0.85, label="best kept so far")
        _points(axes, others, DISCARD, "discarded", 4.0)
        _points(axes, kept, KEEP, "kept", 6.5)
        _margin(axes, [e for e in failed if e.get("status") != "crash"], DISCARD, "|", "not comparable")
        _margin(axes, [e for e in failed if e.get("status") == "crash"], CRASH, "x", "crashed")
        axes.set(xlabel="round", ylabel=_plain(metric) + better, title="Cross-validated score by round")
        _round_axis(axes, entries)
        _families(axes, kept)

    return _png(draw, height=4.2)


def seconds(entries: list[Entry]) -> bytes:
    """Seconds of each round's experiment, coloured by verdict."""
    # lines and not bars: a thousand of them are drawn at once
    thick = min(18.0, max(0.7, 380 / max(entry["round"] for entry in entries)))

    def draw(axes: Axes) -> None:
        for status, name, colour in VERDICTS:
            mine = [entry for entry in entries if entry.get("status") == status]
            if mine:
                heights = [entry["seconds"] for entry in mine]
                axes.vlines([entry["round"] for entry in mine], 0, heights, linewidth=thick, color=colour, label=name)
        axes.set(xlabel="round", ylabel="seconds", title="Time of the experiments")
        axes.grid(axis="x", visible=False)
        axes.set_ylim(bottom=0)
        _round_axis(axes, entries)
        if legend := axes.get_legend():
            for handle in filter(None, legend.legend_handles):
                handle.set(linewidth=6)

    return _png(draw, height=2.9)


def leaderboard(entries: list[Entry], metric: str) -> bytes:
    """Cross-validated against leaderboard score of the submitted rounds."""
    pairs = submitted_pairs(entries)
    cv = np.array([entry["cv"] for entry in pairs], dtype=float)
    lb = np.array([entry["lb"] for entry in pairs], dtype=float)

    def draw(axes: Axes) -> None:
        shown = [*lb, *(cv - _errors(pairs)), *(cv + _errors(pairs))]
        pad = _pad(min(shown), max(shown))
        ends = (min(shown) - pad, max(shown) + pad)
        axes.set(xlim=ends, ylim=ends, aspect="equal")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(MaxNLocator(nbins=6))
        axes.plot(ends, ends, color="#bbbbbb", linewidth=1, linestyle="--", zorder=1, label="CV = leaderboard")
        axes.errorbar(cv, lb, xerr=_errors(pairs), fmt="o", color=BEST, ecolor="#a6bddb", markersize=5.5)
        for entry in pairs[-15:]:
            name, place = label(entry["round"]), (entry["cv"], entry["lb"])
            axes.annotate(name, place, xytext=(5, 5), textcoords="offset points", fontsize=8)
        axes.set(xlabel=f"cross-validated {_plain(metric)}", ylabel="leaderboard", title="CV against leaderboard")
        axes.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0))

    return _png(draw, width=5.0, height=5.0)


def places(ranks: list[list[int]]) -> bytes:
    """Our place by round among the teams of its time, the first at the top; `ranks` is [[round, rank, teams], …]."""
    rounds, ours, teams = (list(column) for column in zip(*ranks, strict=True))

    def draw(axes: Axes) -> None:
        for medal, colour in (("gold", "#c9a227"), ("silver", "#9aa0a6"), ("bronze", "#b0713a")):
            lines = [medals.places(count)[medal] for count in teams]
            axes.step(rounds, lines, where="post", color=colour, linewidth=1.2, linestyle="--", label=medal)
        axes.plot(rounds, ours, "o-", color=BEST, markersize=5, linewidth=1.4, label="our place")
        axes.set_yscale("log")
        axes.invert_yaxis()
        axes.yaxis.set_major_formatter(ScalarFormatter())
        axes.set(xlabel="round", ylabel="place", title="Place on the leaderboard")
        axes.set_xlim(min(rounds) - 0.8, max(rounds) + 0.8)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=12, integer=True, min_n_ticks=1))
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))

    return _png(draw, height=3.2)


def is_measured(entry: Entry) -> bool:
    """Whether the round's score stands for all folds and may be compared."""
    return bool(entry.get("complete")) and show.finite(entry.get("cv")) is not None


def submitted_pairs(entries: list[Entry]) -> list[Entry]:
    """The rounds with a score on both sides."""
    return [entry for entry in entries if is_measured(entry) and show.finite(entry.get("lb")) is not None]


def _errors(entries: list[Entry]) -> np.ndarray:
    return np.array([show.finite(entry.get("se")) or 0.0 for entry in entries])


def _pad(low: float, high: float) -> float:
    """The empty margin beside values from `low` to `high`."""
    return 0.06 * (high - low) or 0.01 * abs(high) or 1.0


def _points(axes: Axes, entries: list[Entry], colour: str, name: str, size: float) -> None:
    """Points with error bars; those out of sight stand at the edge as triangles."""
    if not entries:
        return
    low, high = axes.get_ylim()
    cv = np.array([entry["cv"] for entry in entries], dtype=float)
    rounds = np.array([entry["round"] for entry in entries])
    seen = (cv >= low) & (cv <= high)
    look: Any = {"color": colour, "markersize": size if len(entries) < 100 else size * 0.6}
    errors = _errors(entries)[seen]
    axes.errorbar(rounds[seen], cv[seen], yerr=errors, fmt="o", elinewidth=1.1, alpha=0.9, label=name, **look)
    inset = 0.02 * (high - low)
    for hidden, edge, marker in ((cv > high, high - inset, "^"), (cv < low, low + inset, "v")):
        if hidden.any():
            axes.plot(rounds[hidden], np.full(hidden.sum(), edge), marker, clip_on=False, **look)


def _families(axes: Axes, kept: list[Entry]) -> None:
    """The family beside each kept point in sight, where it stands clear of the name before it."""
    low, high = axes.get_ylim()
    free, last = axes.get_xlim()
    letter = 0.01 * (last - free)  # about a letter's share of the picture, and a little air
    for entry in kept:
        name, place = _plain(str(entry.get("family") or "")), float(entry["round"])
        right = place + letter * len(name) <= last
        start = place if right else place - letter * len(name)
        if low <= entry["cv"] <= high and start >= free:
            look: Any = {
                "xytext": (6 if right else -6, 4),
                "textcoords": "offset points",
                "fontsize": 7.5,
                "color": INK,
            }
            axes.annotate(name, (place, entry["cv"]), ha="left" if right else "right", **look)
            free = start + letter * len(name)


def _margin(axes: Axes, entries: list[Entry], colour: str, marker: str, name: str) -> None:
    """Rounds without a comparable score, just above the round axis."""
    if not entries:
        return
    rounds = [entry["round"] for entry in entries]
    size = 7 if len(entries) < 30 else 4
    look: Any = {"color": colour, "markersize": size, "markeredgewidth": 1.4, "label": name}
    axes.plot(rounds, [0.025] * len(rounds), marker, transform=axes.get_xaxis_transform(), **look)


def _limit(axes: Axes, measured: list[Entry], kept: list[Entry]) -> None:
    """Show all kept rounds and the middle of the others: one bad score must not flatten the picture."""
    cv = np.array([entry["cv"] for entry in measured], dtype=float)
    middle, spread = float(np.median(cv)), float(np.subtract(*np.quantile(cv, (0.9, 0.1))))
    # the first keep only had to be better than nothing, so it may be an outlier as well
    wanted = [*kept[1:], *(entry for entry in measured if not spread or abs(entry["cv"] - middle) <= 3 * spread)]
    wanted = wanted or measured
    scores, errors = np.array([entry["cv"] for entry in wanted], dtype=float), _errors(wanted)
    low, high = float(np.min(scores - errors)), float(np.max(scores + errors))
    axes.set_ylim(low - 1.6 * _pad(low, high), high + _pad(low, high))


def _round_axis(axes: Axes, entries: list[Entry]) -> None:
    """Whole rounds below the picture, and the legend beside it."""
    numbers = [entry["round"] for entry in entries] or [1]
    axes.set_xlim(min(numbers) - 0.8, max(numbers) + 0.8)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=12, integer=True, min_n_ticks=1))
    axes.ticklabel_format(axis="y", useOffset=False)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))


def _plain(text: str) -> str:
    """Letters that every font has: a missing one would only be a box."""
    return show.one_line(text, 40).encode("ascii", "replace").decode()


def _png(draw: Callable[[Axes], None], *, width: float = 9.0, height: float) -> bytes:
    """Draw on one figure without any global state."""
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(width, height), dpi=120)
        axes = figure.add_subplot()
        draw(axes)
        # fixed margins: to fit them (layout="constrained") takes as long as the drawing
        right = 0.8 if width > 6 and axes.get_legend() else 0.97  # the legend stands beside a wide picture
        figure.subplots_adjust(left=1.0 / width, right=right, bottom=0.6 / height, top=1 - 0.4 / height)
        data = io.BytesIO()
        FigureCanvasAgg(figure).print_png(data, metadata={"Software": None})  # savefig would draw it twice
    return data.getvalue()
