"""The pictures of REPORT.md, as PNG bytes that depend on the records alone."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np

from orchestrator import show
from orchestrator.ledger import Entry
from orchestrator.rounds import label

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

KEEP, DISCARD, CRASH, BEST, INK = "#1a9850", "#8d99ae", "#d7301f", "#225ea8", "#333333"
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
    """Score by round with standard errors, the best so far as a step line, rounds without a score at the margin."""
    measured = [entry for entry in entries if is_measured(entry)]
    kept = [entry for entry in measured if entry.get("status") == "keep"]
    others = [entry for entry in measured if entry.get("status") != "keep"]
    failed = [entry for entry in entries if not is_measured(entry)]

    def draw(axes: Axes) -> None:
        if measured:
            _limit(axes, measured, kept)
        elif entries:
            axes.set_ylim(0, 1)
            axes.set_yticks([])
        _best_so_far(axes, kept, max((entry["round"] for entry in entries), default=0))
        _points(axes, others, DISCARD, "discarded", 4.0)
        _points(axes, kept, KEEP, "kept", 6.5)
        _margin(axes, [e for e in failed if e.get("status") != "crash"], DISCARD, "|", "not comparable")
        _margin(axes, [entry for entry in failed if entry.get("status") == "crash"], CRASH, "x", "crashed")
        better = "" if maximize is None else f" ({'higher' if maximize else 'lower'} is better)"
        axes.set(xlabel="round", ylabel=_plain(metric) + better, title="Cross-validated score by round")
        _round_axis(axes, entries)
        if entries:
            axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))

    return _png(draw, height=4.2)


def seconds(entries: list[Entry]) -> bytes:
    """Seconds of each round's experiment, coloured by verdict."""
    colours = {"keep": KEEP, "crash": CRASH}
    # lines and not bars: a thousand of them are drawn at once
    thick = min(18.0, max(0.7, 380 / max((entry["round"] for entry in entries), default=1)))

    def draw(axes: Axes) -> None:
        for status, name in (("keep", "kept"), ("discard", "discarded"), ("crash", "crashed")):
            mine = [entry for entry in entries if entry.get("status") == status]
            if mine:
                heights = [show.finite(entry.get("seconds")) or 0.0 for entry in mine]
                rounds = [entry["round"] for entry in mine]
                axes.vlines(rounds, 0, heights, linewidth=thick, color=colours.get(status, DISCARD), label=name)
        axes.set(xlabel="round", ylabel="seconds", title="Time of the experiments")
        axes.grid(axis="x", visible=False)
        axes.set_ylim(bottom=0)
        _round_axis(axes, entries)
        if entries:
            legend = axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
            for handle in filter(None, legend.legend_handles):
                handle.set(linewidth=6)

    return _png(draw, height=2.9)


def leaderboard(entries: list[Entry], metric: str) -> bytes:
    """Cross-validated against leaderboard score of the submitted rounds."""
    pairs = submitted_pairs(entries)

    def draw(axes: Axes) -> None:
        values = [value for entry in pairs for value in (entry["cv"], entry["lb"])]
        low, high = min(values), max(values)
        pad = 0.06 * (high - low) or 0.01 * abs(high) or 1.0
        ends = (low - pad, high + pad)
        axes.plot(ends, ends, color="#bbbbbb", linewidth=1, linestyle="--", zorder=1, label="CV = leaderboard")
        errors = [show.finite(entry.get("se")) or 0.0 for entry in pairs]
        axes.errorbar(
            [entry["cv"] for entry in pairs],
            [entry["lb"] for entry in pairs],
            xerr=errors,
            fmt="o",
            color=BEST,
            ecolor="#a6bddb",
            markersize=5.5,
        )
        for entry in pairs[-15:]:
            axes.annotate(
                label(entry["round"]), (entry["cv"], entry["lb"]), xytext=(5, 5), textcoords="offset points", fontsize=8
            )
        axes.set(xlabel=f"cross-validated {_plain(metric)}", ylabel="leaderboard", title="CV against leaderboard")
        axes.legend(loc="lower right")

    return _png(draw, width=5.6, height=4.4)


def is_measured(entry: Entry) -> bool:
    """Whether the round's score stands for all folds and may be compared."""
    return bool(entry.get("complete")) and show.finite(entry.get("cv")) is not None


def submitted_pairs(entries: list[Entry]) -> list[Entry]:
    """The rounds with a score on both sides."""
    return [entry for entry in entries if is_measured(entry) and show.finite(entry.get("lb")) is not None]


def _points(axes: Axes, entries: list[Entry], colour: str, name: str, size: float) -> None:
    """Points with error bars; those out of sight stand at the edge as triangles."""
    if not entries:
        return
    low, high = axes.get_ylim()
    cv = np.array([entry["cv"] for entry in entries], dtype=float)
    rounds = np.array([entry["round"] for entry in entries])
    errors = np.array([show.finite(entry.get("se")) or 0.0 for entry in entries])
    seen = (cv >= low) & (cv <= high)
    size = size if len(entries) < 100 else size * 0.6
    axes.errorbar(rounds[seen], cv[seen], yerr=errors[seen], fmt="o", color=colour, markersize=size, capsize=0,
                  elinewidth=1.1, alpha=0.9, label=name)  # fmt: skip
    inset = 0.02 * (high - low)
    for hidden, edge, marker in ((cv > high, high - inset, "^"), (cv < low, low + inset, "v")):
        if hidden.any():
            axes.plot(rounds[hidden], np.full(int(hidden.sum()), edge), marker=marker, color=colour, markersize=size,
                      linestyle="none", clip_on=False)  # fmt: skip


def _best_so_far(axes: Axes, kept: list[Entry], last: int) -> None:
    if kept:
        rounds = [entry["round"] for entry in kept]
        best = [entry["cv"] for entry in kept]
        axes.step([*rounds, max(last, rounds[-1])], [*best, best[-1]], where="post", color=BEST, linewidth=1.6,
                  alpha=0.85, label="best so far")  # fmt: skip


def _margin(axes: Axes, entries: list[Entry], colour: str, marker: str, name: str) -> None:
    """Rounds without a comparable score, just above the round axis."""
    if entries:
        rounds = [entry["round"] for entry in entries]
        axes.plot(rounds, [0.025] * len(rounds), marker, transform=axes.get_xaxis_transform(), color=colour,
                  markersize=7 if len(entries) < 30 else 4, markeredgewidth=1.4, label=name)  # fmt: skip


def _limit(axes: Axes, measured: list[Entry], kept: list[Entry]) -> None:
    """Show all kept rounds and the middle of the others: one bad score must not flatten the picture."""
    cv = np.array([entry["cv"] for entry in measured], dtype=float)
    middle, spread = float(np.median(cv)), float(np.subtract(*np.quantile(cv, (0.9, 0.1))))
    # the first keep only had to be better than nothing, so it may be an outlier as well
    wanted = [*kept[1:], *(entry for entry in measured if not spread or abs(entry["cv"] - middle) <= 3 * spread)]
    wanted = wanted or measured
    errors = [show.finite(entry.get("se")) or 0.0 for entry in wanted]
    low = min(entry["cv"] - error for entry, error in zip(wanted, errors, strict=True))
    high = max(entry["cv"] + error for entry, error in zip(wanted, errors, strict=True))
    pad = 0.06 * (high - low) or 0.01 * abs(high) or 1.0
    axes.set_ylim(low - 1.6 * pad, high + pad)


def _round_axis(axes: Axes, entries: list[Entry]) -> None:
    from matplotlib.ticker import MaxNLocator

    numbers = [entry["round"] for entry in entries] or [1]
    axes.set_xlim(min(numbers) - 0.8, max(numbers) + 0.8)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=12, integer=True, min_n_ticks=1))
    axes.ticklabel_format(axis="y", useOffset=False)


def _plain(text: str) -> str:
    """Letters that every font has: a missing one would only be a box."""
    return show.one_line(text, 40).encode("ascii", "replace").decode()


def _png(draw: Any, *, width: float = 9.0, height: float) -> bytes:
    """Draw on one figure without any global state."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with matplotlib.rc_context(_STYLE):
        figure: Figure = Figure(figsize=(width, height), dpi=120, layout="constrained")
        FigureCanvasAgg(figure)
        draw(figure.add_subplot())
        data = io.BytesIO()
        figure.savefig(data, format="png", metadata={"Software": None})
    return data.getvalue()
