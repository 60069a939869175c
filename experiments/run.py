"""Recipes × splits × seeds → one table. Stop it at any time; started again, it continues.

    python experiments/run.py DATA OUT [--recipes NAME|FILE …] [--splits …] [--seeds …]

A recipe is a TOML file of this folder's `recipes/`, or the name of one that leukoscope ships. Each
combination becomes a run in OUT/<recipe>-<split>-<seed>, without the final network; the table is
OUT/results.csv and, to be read, OUT/results.md.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd

from leukoscope.evaluation import Evaluation, Score, compute_evaluation, find_score
from leukoscope.io.files import write_text
from leukoscope.io.runs import Run, open_run
from leukoscope.io.tables import write_table
from leukoscope.predictions import read_predictions
from leukoscope.workflow.training import TrainingRequest, train_run

_HERE = Path(__file__).parent
_SCORES = ("weighted_f1", "roc_auc", "sensitivity", "specificity", "ece")
_LEAST_CELLS = 20  # of a subject, for the lowest per-subject accuracy


def main() -> None:
    """Run all combinations, rewriting the table after each run."""
    request = _parse()
    rows = []
    for recipe in request.recipes:
        for split in request.splits:
            for seed in request.seeds:
                out = request.out / f"{Path(recipe).stem}-{split}-{seed}"
                print(f"{out.name} …", flush=True)
                rows.append(_summarise(_train(request.data, out, recipe, split, seed)))
                table = pd.DataFrame(rows)
                write_table(request.out / "results.csv", table)
                write_text(request.out / "results.md", _to_markdown(table))
                print(_to_markdown(table.tail(1)), flush=True)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    known = sorted(str(path) for path in (_HERE / "recipes").glob("*.toml"))
    parser.add_argument("--recipes", nargs="+", default=known)
    parser.add_argument("--splits", nargs="+", default=["group-kfold", "fold-cv"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    return parser.parse_args()


def _train(data: Path, out: Path, recipe: str, split: str, seed: int) -> Run:
    if (out / "run.json").exists() and open_run(out).read_record().finished:
        return open_run(out)
    return train_run(TrainingRequest(data, out, recipe, split, seed=seed, final=False, resume=True))


def _summarise(run: Run) -> dict[str, object]:
    record, history = run.read_record(), run.read_history()
    found = compute_evaluation(read_predictions(run.predictions))
    scores = {score.name: score for score in found.by_cell}
    by_subject = {score.name: score for score in found.by_subject}
    worst = min(
        (row for row in found.subjects if row.cells >= _LEAST_CELLS), key=lambda row: row.accuracy
    )
    row: dict[str, object] = {
        "recipe": record.recipe.name,
        "split": record.split.name,
        "seed": record.seed,
        "images/s": round(history["images_per_second"].median()),
        "minutes": round(history["seconds"].sum() / 60, 1),
    }
    for name in _SCORES:
        row |= _list_score(name, scores[name])
    row |= _list_score("roc_auc_by_subject", by_subject["roc_auc"])
    row |= _list_score("subject_auc", found.subject_auc)
    row |= _list_score("minus_size_alone", _compare_with_size(found))
    return row | {"worst_subject": f"{worst.subject} ({worst.label}) {worst.accuracy:.2f}"}


def _compare_with_size(found: Evaluation) -> Score:
    size = found.baselines[-1]
    return find_score(size.differences_by_cell, "roc_auc")


def _list_score(name: str, score: Score) -> dict[str, float | None]:
    return {name: score.value, f"{name}_low": score.low, f"{name}_high": score.high}


def _to_markdown(table: pd.DataFrame) -> str:
    names = [name for name in table if f"{name}_low" in table]
    shown = table[[name for name in table if not name.endswith(("_low", "_high"))]].astype(object)
    for name in names:
        low, high = table[f"{name}_low"], table[f"{name}_high"]
        shown[name] = [
            f"{value:.3f} [{a:.3f}, {b:.3f}]"
            for value, a, b in zip(table[name], low, high, strict=True)
        ]
    lines = ["| " + " | ".join(map(str, row)) + " |" for row in shown.itertuples(index=False)]
    head = "| " + " | ".join(shown.columns) + " |\n" + "|---" * len(shown.columns) + "|\n"
    return head + "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
