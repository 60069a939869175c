"""All steps once, on simulated cells."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from leukoscope.catalogue.audit import Audit
from leukoscope.evaluation import Evaluation
from leukoscope.inference.stream import start_answers
from leukoscope.io.files import move_into_place
from leukoscope.io.locks import lock_folder
from leukoscope.io.runs import Run
from leukoscope.simulate import CohortSettings, Faults, open_cohort, simulate_cohort
from leukoscope.workflow.checking import check_data
from leukoscope.workflow.evaluation import evaluate_predictions
from leukoscope.workflow.prediction import predict_images
from leukoscope.workflow.training import TrainingRequest, train_run

if TYPE_CHECKING:
    from leukoscope.training.loop import EpochReport

__all__ = ["DEMO", "DemoResult", "run_demo"]

DEMO = CohortSettings(
    subjects=40,
    cells=1200,
    faults=Faults(
        shared_images=4, reprocessed_cells=12, repeated_cells=6, mislabelled=2, truncated=1
    ),
)
"""The demonstration's cohort, with faults for the audit to find."""


@dataclass(frozen=True)
class DemoResult:
    """Results of the demonstration."""

    audit: Audit
    audit_page: Path
    best_auc: float
    evaluation: Evaluation
    report: Path
    answers: Path


def run_demo(
    out: Path,
    *,
    on_stage: Callable[[str], None],
    on_network: Callable[[str, int, int], None] | None = None,
    on_step: Callable[[EpochReport], None] | None = None,
) -> DemoResult:
    """Simulate → audit → train → evaluate on held-out people → report → predict.

    Args:
        out: a new or empty folder, or that of a demonstration that did not come to its end: it
            goes on from where it was.
        on_stage: called with each step's name.
        on_network: as in `train_run`.
        on_step: as in `train_run`.

    Raises:
        LeukoscopeError: `out` is taken, or Keras is missing.
    """
    with lock_folder(out):
        return _run(out, on_stage, on_network, on_step)


def _run(
    out: Path,
    on_stage: Callable[[str], None],
    on_network: Callable[[str, int, int], None] | None,
    on_step: Callable[[EpochReport], None] | None,
) -> DemoResult:
    import leukoscope.models  # noqa: F401 (reports a missing extra now, not at step 3)

    on_stage(f"1. Drawing {DEMO.cells:,} cells of {DEMO.subjects} simulated people, with faults")
    answers = out / "answers.csv"
    cohort = None if answers.exists() else open_cohort(out / "cells", DEMO)
    if cohort is None:
        for left in out.glob(".cells.*.partial"):  # by one that was killed
            shutil.rmtree(left, ignore_errors=True)
        cohort = simulate_cohort(out / "cells", DEMO)
    on_stage("2. Auditing the data: faults, and people under two names")
    audit_page = out / "audit.html"
    audit = check_data(cohort.root, html=audit_page)
    on_stage("3. Training on two folds, predicting the people of the third, in turn")
    run: Run = train_run(
        TrainingRequest(cohort.root, out / "run", recipe="demo", folds=3, resume=True),
        on_network=on_network,
        on_step=on_step,
    )
    on_stage("4. Evaluating by person")
    evaluation, report = evaluate_predictions(run.folder)
    on_stage("5. Predicting one folder with the network trained on all of them")
    first = cohort.truth.loc[cohort.truth["fold"] == 0, "image"].iloc[0]
    found, _ = predict_images([(cohort.root / first).parents[1]], run.folder)
    with move_into_place(answers) as part, part.open("w", encoding="utf-8", newline="") as stream:
        write = start_answers(stream)
        for answer in found:
            write(answer)
    return DemoResult(audit, audit_page, cohort.best_auc, evaluation, report, answers)
