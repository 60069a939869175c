"""Numbers → figures, one restrained style, as SVG text.

The two classes keep their colours throughout (Okabe and Ito's vermillion and blue, distinguishable
for the colour-blind). Figures are drawn for a column 4.8 inches wide, so that they can be read on a
phone. The object-oriented API is used alone: nothing global changes, no window opens.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence, Sized
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from leukoscope.errors import DataError
from leukoscope.evaluation import Curve, Evaluation, FoldScores, ReliabilityBin, Score
from leukoscope.labels import CLASS_COLOURS, LEUKAEMIC, NORMAL

__all__ = [
    "CLASS_COLOURS",
    "draw_confusion",
    "draw_folds",
    "draw_glance",
    "draw_history",
    "draw_png",
    "draw_precision_recall",
    "draw_reliability",
    "draw_roc",
    "draw_subjects",
    "draw_svg",
]

_INK, _MUTED, _LINE = "#1d2530", "#66707d", "#d5dae1"
_SIZE_COLOUR = "#8a6fae"
_CURVE_STYLES: tuple[dict[str, Any], ...] = (
    {"color": _INK, "linewidth": 2.0},
    {"color": "#009E73", "linewidth": 1.8, "linestyle": (0, (5, 1.5))},
    {"color": _SIZE_COLOUR, "linewidth": 1.6, "linestyle": (0, (1.5, 1.2))},
)
_NETWORK_COLOURS = ("#1d2530", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8a6fae")
_STYLE = {
    **sns.axes_style("ticks"),
    "font.family": "DejaVu Sans",
    "font.size": 9.5,
    "axes.labelsize": 9.5,
    "axes.labelcolor": _INK,
    "axes.edgecolor": _MUTED,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.color": _INK,
    "xtick.color": _MUTED,
    "ytick.color": _MUTED,
    "xtick.labelcolor": _INK,
    "ytick.labelcolor": _INK,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "legend.fontsize": 8.5,
    "legend.frameon": False,
    "svg.hashsalt": "leukoscope",  # the same numbers give the same file
    "svg.fonttype": "path",
}
_WIDTH = 4.8


def draw_svg(height: float, paint: Callable[[Figure], None], width: float = _WIDTH) -> str:
    """Set the style, let `paint` fill a figure of the size in inches, and return SVG."""
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(width, height), layout="constrained", dpi=160)
        FigureCanvasSVG(figure)
        paint(figure)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return buffer.getvalue()


def draw_png(height: float, paint: Callable[[Figure], None], width: float = _WIDTH) -> bytes:
    """As `draw_svg`, but a PNG of 160 pixels an inch."""
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(width, height), layout="constrained", dpi=160)
        FigureCanvasAgg(figure)
        paint(figure)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def draw_glance(network: Mapping[str, Score], size: Mapping[str, Score]) -> str:
    """ROC-AUC of the network's views (dark) and of size alone (violet), with intervals."""
    rows = [*network.items(), *size.items()]

    def paint(figure: Figure) -> None:
        axes = figure.add_subplot()
        axes.axvline(0.5, color=_MUTED, linewidth=0.9, linestyle=(0, (4, 2)))
        axes.text(0.5, -0.75, "chance", ha="center", va="bottom", fontsize=8.5, color=_MUTED)
        for y, (_, score) in enumerate(rows):
            _draw_interval(axes, score, y, _INK if y < len(network) else _SIZE_COLOUR)
        axes.set_yticks(range(len(rows)), [title for title, _ in rows])
        lows = [value for _, s in rows for value in (s.low, s.value) if value is not None]
        left = min([0.4, *lows]) - 0.03
        axes.set(xlim=(left, 1.02), ylim=(len(rows) - 0.5, -0.7), xlabel="ROC-AUC")
        axes.tick_params(length=3)
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)

    return draw_svg(0.9 + 0.36 * len(rows), paint, width=4.2)


def draw_roc(curves: Sequence[Curve]) -> str:
    """ROC curves of the network in both views and of size alone; `DataError` without a curve."""
    _check_something("ROC curve", curves, "cells of both classes")

    def paint(figure: Figure) -> None:
        axes = figure.add_subplot()
        axes.plot([0, 1], [0, 1], color=_LINE, linewidth=1.2)
        for curve, style in zip(curves, _CURVE_STYLES, strict=False):
            axes.plot(curve.false_positive, curve.true_positive, label=curve.title, **style)
        _frame_unit_square(axes, "Normal cells called leukaemic", "Leukaemic cells found")
        axes.legend(loc="lower right")

    return draw_svg(4.5, paint)


def draw_precision_recall(curves: Sequence[Curve]) -> str:
    """Precision over recall, chance as a line; `DataError` without a curve."""
    _check_something("Precision-recall curve", curves, "cells of both classes")

    def paint(figure: Figure) -> None:
        axes = figure.add_subplot()
        axes.axhline(curves[0].prevalence, color=_LINE, linewidth=1.2)
        for curve, style in zip(curves, _CURVE_STYLES, strict=False):
            axes.plot(
                curve.recall, curve.precision, drawstyle="steps-post", label=curve.title, **style
            )
        _frame_unit_square(
            axes, "Leukaemic cells found (recall)", "Correct leukaemic calls (precision)"
        )
        axes.legend(loc="lower left")

    return draw_svg(4.5, paint)


def _check_something(figure: str, points: Sized, expected: str) -> None:
    if not len(points):
        raise DataError(f"{figure}: nothing to draw. Expected a table with {expected}.")


def _frame_unit_square(axes: Axes, x_label: str, y_label: str) -> None:
    ticks = np.linspace(0, 1, 6)
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), xticks=ticks, yticks=ticks, aspect="equal")
    axes.set(xlabel=x_label, ylabel=y_label)
    axes.tick_params(length=3)


def draw_confusion(evaluation: Evaluation) -> str:
    """True label by call, in cells; the shade is the share of the row."""
    _check_something("Confusion matrix", evaluation.subjects, "one cell or more")

    def paint(figure: Figure) -> None:
        axes = figure.add_subplot()
        classes = (LEUKAEMIC, NORMAL)
        counts = np.array([[evaluation.confusion[t][c] for c in classes] for t in classes])
        totals = np.maximum(counts.sum(axis=1, keepdims=True), 1)
        shares = counts / totals
        sns.heatmap(
            shares,
            ax=axes,
            vmin=0,
            vmax=1,
            cmap=sns.light_palette("#33485f", as_cmap=True),
            cbar=False,
            linewidths=3,
            square=True,
            xticklabels=list(classes),
            yticklabels=list(classes),
        )
        for (row, column), count in np.ndenumerate(counts):
            colour = "white" if shares[row, column] > 0.5 else _INK
            axes.text(
                column + 0.5, row + 0.44, f"{count:,}", ha="center", va="center", color=colour,
                fontsize=17,
            )  # fmt: skip
            axes.text(
                column + 0.5, row + 0.62, f"{shares[row, column]:.0%} of the row", ha="center",
                va="center", color=colour, fontsize=8.5,
            )  # fmt: skip
        axes.set(xlabel="Call", ylabel="Truth")
        axes.tick_params(length=0)
        axes.tick_params(axis="y", rotation=90)
        for label in (*axes.get_yticklabels(), *axes.get_xticklabels()):
            label.set(color=CLASS_COLOURS[label.get_text()], verticalalignment="center")
        for label in axes.get_xticklabels():
            label.set_verticalalignment("top")

    return draw_svg(4.5, paint)


def draw_reliability(bins: Sequence[ReliabilityBin]) -> str:
    """Share of leukaemic cells over the predicted probability, above the number of cells."""
    _check_something("Reliability diagram", bins, "one cell or more")

    def paint(figure: Figure) -> None:
        axes, below = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
        axes.plot([0, 1], [0, 1], color=_LINE, linewidth=1.2)
        given = [b.mean_probability for b in bins]
        axes.plot(
            given, [b.share_leukaemic for b in bins], color=_INK, linewidth=1.4, marker="o",
            markersize=4.5,
        )  # fmt: skip
        axes.set(xlim=(-0.01, 1.01), ylim=(-0.03, 1.03), ylabel="Share truly leukaemic")
        axes.set_yticks(np.linspace(0, 1, 6))
        below.bar(
            [b.low for b in bins], [b.cells for b in bins], [b.high - b.low for b in bins],
            align="edge", color="#aab4c0", edgecolor="white",
        )  # fmt: skip
        below.set(xlabel="Predicted probability of leukaemic", ylabel="Cells")
        below.yaxis.set_major_locator(MaxNLocator(2, integer=True))
        for each in (axes, below):
            each.tick_params(length=3)

    return draw_svg(4.7, paint)


def draw_subjects(table: pd.DataFrame, evaluation: Evaluation) -> str:
    """Every cell a dot on its subject's row; rows by class, then by mean probability (bar)."""
    _check_something("Cells by subject", table, "one cell or more")
    rows = [r for label in (LEUKAEMIC, NORMAL) for r in evaluation.subjects if r.label == label]
    scatter = np.random.default_rng(0)

    def paint(figure: Figure) -> None:
        axes = figure.add_subplot()
        place = {(r.subject, r.label): y for y, r in enumerate(rows)}
        keys = zip(table["subject"], table["label"], strict=True)
        centre = np.array([place[key] for key in keys], dtype=float)
        for threshold in sorted(set(evaluation.thresholds)):
            axes.axvline(threshold, color=_MUTED, linewidth=0.9, linestyle=(0, (4, 2)))
        for label, colour in CLASS_COLOURS.items():
            own = (table["label"] == label).to_numpy()
            axes.scatter(
                table["probability"].to_numpy()[own],
                centre[own] + scatter.uniform(-0.28, 0.28, int(own.sum())),
                s=5, color=colour, alpha=0.45, linewidths=0, rasterized=True, label=label,
            )  # fmt: skip
        means = [r.mean_probability for r in rows]
        axes.vlines(means, np.arange(len(rows)) - 0.42, np.arange(len(rows)) + 0.42, _INK, lw=2)
        border = sum(row.label == LEUKAEMIC for row in rows) - 0.5
        axes.axhline(border, color=_LINE, linewidth=1.2)
        axes.set_yticks(range(len(rows)), [f"{r.subject}  ({r.cells})" for r in rows])
        for text, row in zip(axes.get_yticklabels(), rows, strict=True):
            text.set_color(CLASS_COLOURS[row.label])
        axes.set(xlim=(-0.01, 1.01), ylim=(len(rows) - 0.4, -0.6))
        axes.set(xlabel="Probability of leukaemic", ylabel="Subject (cells)")
        axes.tick_params(length=3)
        axes.tick_params(axis="y", length=0, labelsize=7.5)
        axes.grid(axis="y", color="#eef0f3", linewidth=0.8)
        axes.set_axisbelow(True)
        figure.legend(
            *_build_class_legend(), loc="outside upper center", ncols=2, handletextpad=0.2
        )

    return draw_svg(1.2 + 0.18 * len(rows), paint)


def _build_class_legend() -> tuple[list[Line2D], list[str]]:
    dots = [
        Line2D([], [], color=CLASS_COLOURS[label], marker="o", linestyle="")
        for label in (LEUKAEMIC, NORMAL)
    ]
    return dots, [LEUKAEMIC, NORMAL]


def draw_history(history: pd.DataFrame) -> str:
    """Losses above, scores below, over epochs; a colour per network, validation set solid."""
    panels = [
        (word, [c for c in history.columns if c.endswith(suffix) and history[c].notna().any()])
        for word, suffix in (("Loss", "loss"), ("ROC-AUC", "auc"))
    ]
    panels = [(word, columns) for word, columns in panels if columns]
    networks = list(history.groupby("fold", sort=False)) if "fold" in history else [("", history)]

    def paint(figure: Figure) -> None:
        all_axes = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
        for axes, (word, columns) in zip(all_axes, panels, strict=True):
            for number, (_, own) in enumerate(networks):
                colour = _NETWORK_COLOURS[number % len(_NETWORK_COLOURS)]
                for column in columns:
                    stop = column.startswith("validation_")
                    axes.plot(
                        own["epoch"], own[column], color=colour, linewidth=1.7 if stop else 1.1,
                        linestyle="-" if stop else (0, (2, 1.5)), marker="o", markersize=2.5,
                    )  # fmt: skip
            axes.set_ylabel(word)
            axes.tick_params(length=3)
            axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
        all_axes[-1].set_xlabel("Epoch")
        validated = any(column.startswith("validation_") for _, shown in panels for column in shown)
        handles, words = _build_history_legend([str(name) for name, _ in networks], validated)
        figure.legend(handles, words, loc="outside upper center", ncols=3)

    return draw_svg(0.8 + 2.0 * len(panels), paint)


def _build_history_legend(networks: list[str], validated: bool) -> tuple[list[Line2D], list[str]]:
    handles = [Line2D([], [], color=_MUTED, linewidth=1.1, linestyle=(0, (2, 1.5)))]
    words = ["training set"]
    if validated:
        handles.insert(0, Line2D([], [], color=_MUTED, linewidth=1.7))
        words.insert(0, "validation set")
    if networks != [""]:
        handles += [
            Line2D([], [], color=_NETWORK_COLOURS[n % len(_NETWORK_COLOURS)], linewidth=3)
            for n in range(len(networks))
        ]
        words += networks
    return handles, words


def draw_folds(folds: Sequence[FoldScores]) -> str:
    """Forest plot: each score of each fold, with its interval."""
    kinds = [score.title for score in folds[0].scores] if folds else []
    height = len(folds) + 1.2

    def paint(figure: Figure) -> None:
        axes = figure.add_subplot()
        ticks, words = [], []
        for block, title in enumerate(kinds):
            top = block * height
            axes.text(0, top - 0.15, title, fontsize=9.5, fontweight="bold", va="center")
            for number, fold in enumerate(folds):
                y = top + 0.85 + number
                _draw_interval(axes, fold.scores[block], y, _NETWORK_COLOURS[number % 6])
                ticks.append(y)
                words.append(f"{fold.fold} (n = {fold.subjects})")
        axes.set_yticks(ticks, words)
        axes.set(xlim=(0, 1), ylim=(height * len(kinds) - 0.6, -0.7), xlabel="Score")
        axes.set_xticks(np.linspace(0, 1, 6))
        axes.grid(axis="x", color="#eef0f3", linewidth=0.8)
        axes.set_axisbelow(True)
        axes.tick_params(length=3)
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)

    return draw_svg(0.8 + 0.22 * height * len(kinds), paint)


def _draw_interval(axes: Axes, score: Score, y: float, colour: str) -> None:
    if score.value is None:
        axes.text(0.01, y, score.reason, fontsize=8, color=_MUTED, va="center")
        return
    if score.low is not None and score.high is not None:
        axes.hlines(y, score.low, score.high, colour, linewidth=1.8)
    axes.plot(score.value, y, marker="o", markersize=5.5, color=colour)
