"""A run, or any predictions → metrics.json and report.html; of a run a model card too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from leukoscope.arrays import UInt8Array
from leukoscope.cells.extract import cut_cells
from leukoscope.datasets.spec import CropSpec
from leukoscope.errors import DataError
from leukoscope.evaluation import (
    Evaluation,
    compute_evaluation,
    list_confident_errors,
    write_metrics,
)
from leukoscope.inference.model import Classifier
from leukoscope.io.images import read_image
from leukoscope.io.runs import FINAL, Run, find_predictions, open_run
from leukoscope.io.sources import list_sources
from leukoscope.notices import SIMULATED_BANNER
from leukoscope.predictions import read_predictions, set_threshold
from leukoscope.records import GroupOverrides, RunRecord
from leukoscope.report import brighten, cut_middle, write_model_card, write_report
from leukoscope.workflow.prediction import find_spec

__all__ = ["evaluate_predictions"]

_SHOWN_PX = 170  # side of a picture


def evaluate_predictions(
    target: Path,
    out: Path | None = None,
    *,
    model: Path | None = None,
    columns: Mapping[str, str] | None = None,
    threshold: float | None = None,
    scores: Sequence[str] = (),
    n_bootstrap: int = 2000,
    seed: int = 0,
) -> tuple[Evaluation, Path]:
    """Evaluate a run or a predictions table.

    Args:
        target: a run folder, or a CSV as `predictions` documents.
        out: folder to write to; by default `evaluation` within the run, or beside the CSV.
        model: that predicted, a run or an ONNX file, for subjects in the images' names and words
            for the classes; by default those of the run, or of the known data sets.
        columns: column names of the CSV: our name → its name.
        threshold: probability from which a cell is called leukaemic, not chosen on these cells;
            by default the table's own, or 0.5.
        scores: of your own, import paths "package.module:name" of a `ScoreKind`.
        n_bootstrap: of the bootstrap.
        seed: of the bootstrap.

    Returns:
        The numbers, and the path of the page.

    Raises:
        LeukoscopeError: no such run or table, or a table that breaks the contract.
    """
    source = find_predictions(target)
    run = open_run(target) if target.is_dir() else None
    spec = find_spec(target, model)
    table = set_threshold(read_predictions(source, columns, spec), threshold)
    evaluation = compute_evaluation(table, n_bootstrap=n_bootstrap, seed=seed, scores=scores)
    folder = out or (run.evaluation if run else target.with_name(f"{target.stem}-evaluation"))
    page = folder / "report.html"
    write_metrics(evaluation, folder / "metrics.json")
    if run:
        record = run.read_record()
        write_report(
            evaluation,
            table,
            page,
            title=f"{record.recipe.name}, {record.split.name}",
            facts=_list_facts(run),
            history=run.read_history(),
            pictures=_read_pictures(Path(record.root), table, record.dataset.crop),
            banner=_find_run_banner(record),
        )
        _write_card(run, record, evaluation, folder / "model-card.md")
    else:
        write_report(evaluation, table, page, title=target.stem, facts={"Table": str(target)})
    return evaluation, page


def _write_card(run: Run, record: RunRecord, evaluation: Evaluation, path: Path) -> None:
    model = run.find_network(FINAL).onnx
    expected = "No final network was trained in this run; each fold has its own."
    if model.exists():
        known = Classifier(model).metadata.expected
        expected = known.words if known else "It was not tested on new people."
    write_model_card(
        evaluation,
        path,
        name=record.recipe.name,
        split=record.split.name,
        expected=expected,
        dataset=record.dataset,
        facts=_list_facts(run),
        banner=_find_run_banner(record),
    )


def _find_run_banner(record: RunRecord) -> str | None:
    words = [SIMULATED_BANNER] if record.simulated else []
    if record.split.leaky:
        words.append(
            "Leaky split: people are on both sides, so these numbers do not hold on new people."
        )
    if record.group_overrides and record.group_overrides.equal_cells_apart:
        words.append(
            "The groups of this run separate names that share equal images; cells that were seen "
            "in training this way are counted as leaky."
        )
    return " ".join(words) or None


def _list_facts(run: Run) -> dict[str, str]:
    record = run.read_record()
    recipe, data, split = record.recipe, record.data, record.split
    speeds = run.read_history()["images_per_second"]
    return {
        "Recipe": f"{recipe.name} ({recipe.model.architecture}, {recipe.model.input_px} px, "
        f"at most {recipe.training.epochs} epochs)",
        "Split": f"{split.name}, {len(split.folds)} networks; "
        f"{sum(fold.removed for fold in split.folds):,} cells removed from training because "
        "their person is evaluated",
        "Data": f"{record.dataset.name}: {data.cells:,} cells, {data.subjects} subject names, "
        f"{data.groups} groups; fingerprint {data.fingerprint}",
        "Groups": _describe_groups(record.group_overrides),
        "Seed": str(record.seed),
        "Training speed": f"{speeds.median():.0f} images/s",
        "Versions": ", ".join(f"{name} {version}" for name, version in record.versions.items()),
        "Machine": record.machine.system,
        "Ethics approval, annotators, funding": "not available: only a person can state these",
    }


def _describe_groups(overrides: GroupOverrides | None) -> str:
    if overrides is None:
        return "subject names joined by the cells they share"
    return " ".join([f"from {Path(overrides.file).name}.", *overrides.overridden])


def _read_pictures(root: Path, table: pd.DataFrame, crop: CropSpec) -> dict[str, UInt8Array]:
    """Crops of the most confident errors, where the images are still there."""
    wanted = set(list_confident_errors(table)["image"])
    pictures = {}
    try:
        for source in list_sources(root):
            if source.name in wanted:
                cells = cut_cells(read_image(source.read(), source.name), crop)
                if len(cells) == 1:
                    pictures[source.name] = brighten(cut_middle(cells[0].crop, _SHOWN_PX))
    except (DataError, OSError):
        return {}
    return pictures
