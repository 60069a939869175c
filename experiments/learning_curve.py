"""Score against the number of people trained on, for a frozen recipe → CSV, figure, forecast.

    python experiments/learning_curve.py DATA OUT [--recipe texture] [--draws 3]

Every fold of group-kfold is predicted by heads trained on 6, 12, 20, 30 and all of its training
people, drawn at random in the proportion of the classes. Each draw is scored over all people.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.optimize import curve_fit

from leukoscope.catalogue import read_catalogue, select_usable
from leukoscope.evaluation import Evaluation, compute_evaluation, find_score
from leukoscope.inference.decision import decide_by_fold
from leukoscope.io.tables import write_table
from leukoscope.models import cut_head
from leukoscope.settings import Recipe, read_recipe
from leukoscope.splits import Split, make_split
from leukoscope.training.features import read_features
from leukoscope.training.loop import predict_with_keras, train_model

_PEOPLE = (6, 12, 20, 30, 0)  # 0: all
_WHOLE_SET = 60  # people to train on with all of Kaggle's training cells, about


def main() -> None:
    """Train, score, draw."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--recipe", default="texture")
    parser.add_argument("--draws", type=int, default=3)
    request = parser.parse_args()
    recipe, catalogue = read_recipe(request.recipe), read_catalogue(request.data)
    features, table = read_features(recipe, catalogue), select_usable(catalogue)
    split = make_split(table, "group-kfold", folds=5, seed=0)
    rows = []
    for people in _PEOPLE:
        for draw in range(request.draws if people else 1):
            found = _score(recipe, features, table, split, people, draw)
            rows.append(_list_scores(people or _count_people(table, split), draw, found))
            print(rows[-1], flush=True)
    curve = pd.DataFrame(rows)
    write_table(request.out / "learning-curve.csv", curve)
    _draw(curve, request.out / "learning-curve.png")


def _count_people(table: pd.DataFrame, split: Split) -> int:
    return round(np.mean([table.loc[fold.training, "group"].nunique() for fold in split.folds]))


def _score(
    recipe: Recipe,
    features: npt.NDArray[Any],
    table: pd.DataFrame,
    split: Split,
    people: int,
    draw: int,
) -> Evaluation:
    found = []
    for fold in split.folds:
        cells = table.loc[fold.training]
        if people:
            cells = cells[cells["group"].isin(_draw_people(cells, people, draw))]
        with tempfile.TemporaryDirectory() as folder:
            checkpoint = Path(folder) / "checkpoint.npz"
            model, _ = train_model(recipe, features, cells, cells[:0], checkpoint, seed=draw)
        own = table.loc[fold.evaluated, ["image", "subject", "group", "label"]]
        output = predict_with_keras(cut_head(model), features, own.index.to_numpy())
        found.append(own.assign(fold=fold.name, probability=output))
    outputs = pd.concat(found, ignore_index=True)
    return compute_evaluation(outputs.assign(**decide_by_fold(outputs).to_dict("series")))


def _draw_people(cells: pd.DataFrame, people: int, draw: int) -> list[str]:
    """Groups in the proportion of the classes, at least one of each."""
    random = np.random.default_rng((people, draw))
    chosen: list[str] = []
    total = cells["group"].nunique()
    for _, own in cells.groupby("label"):
        groups = own["group"].unique()
        count = max(1, round(people * len(groups) / total))
        chosen += list(random.choice(groups, min(count, len(groups)), replace=False))
    return chosen


def _list_scores(people: int, draw: int, found: Evaluation) -> dict[str, float | None]:
    scores = {score.name: score for score in (*found.by_cell, found.subject_auc)}
    row: dict[str, float | None] = {"people": people, "draw": draw}
    for name in ("roc_auc", "weighted_f1", "subject_roc_auc"):
        score = scores[name]
        row |= {name: score.value, f"{name}_low": score.low, f"{name}_high": score.high}
    by_subject = find_score(found.by_subject, "roc_auc")
    return row | {"roc_auc_by_subject": by_subject.value}


def _draw(curve: pd.DataFrame, path: Path) -> None:
    mpl.use("Agg")
    from matplotlib import pyplot

    means = curve.groupby("people").mean()
    figure, axes = pyplot.subplots(figsize=(6, 4), layout="constrained")
    axes.fill_between(means.index, means["roc_auc_low"], means["roc_auc_high"], alpha=0.15)
    for name, title in (
        ("roc_auc", "ROC-AUC by cell"),
        ("roc_auc_by_subject", "ROC-AUC, subject-weighted"),
        ("subject_roc_auc", "ROC-AUC of subject means"),
        ("weighted_f1", "weighted F1"),
    ):
        axes.plot(means.index, means[name], marker="o", label=title)
        forecast = _forecast(means.index.to_numpy(float), means[name].to_numpy(float))
        print(f"{title}: {means[name].iloc[-1]:.3f}, forecast for {_WHOLE_SET}: {forecast:.3f}")
    axes.set(xlabel="People trained on", ylabel="Score on held-out people", ylim=(0.5, 1))
    axes.legend(loc="lower right")
    figure.savefig(path, dpi=110)


def _forecast(people: npt.NDArray[np.float64], score: npt.NDArray[np.float64]) -> float:
    """Score at `_WHOLE_SET` people by an inverse power law, a - b·n^-c: a rough extrapolation."""

    def law(n: Any, a: float, b: float, c: float) -> Any:
        return a - b * n**-c

    limits = ([0.5, 0.0, 0.2], [1.0, 2.0, 2.0])
    found, _ = curve_fit(law, people, score, p0=(0.95, 0.5, 0.5), bounds=limits)
    return float(law(_WHOLE_SET, *found))


if __name__ == "__main__":
    main()
