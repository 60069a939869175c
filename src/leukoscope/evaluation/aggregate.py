"""Cells' probabilities → one row a subject: share called leukaemic, probability, call.

A subject's share has a Wilson interval (1927): how far it would move with other cells of the same
smears, drawn at random. Its probability comes from the mean logit of its cells, by a logistic
regression on subjects whose label is known and who are not the subject: those of the other folds
where the table has several, else all other people. A table without labels takes the line stored in
the model, fitted on the people it was tested on. People are equally weighted, whatever their number
of cells and names.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from leukoscope.errors import DataError
from leukoscope.evaluation.cohort import build_cohort, draw_group_counts
from leukoscope.evaluation.intervals import Score, compute_view
from leukoscope.labels import LABELS, LEUKAEMIC, NORMAL
from leukoscope.logits import compute_logit, compute_probability
from leukoscope.records import Decision, ModelMetadata, SubjectLine

__all__ = [
    "CALLED_FROM",
    "CERTAIN_FROM",
    "CONFIDENCE",
    "MIN_CELLS",
    "MOST_WARNED",
    "NO_CALL",
    "TOO_FEW",
    "TOO_STRANGE",
    "SubjectSummary",
    "aggregate_subjects",
    "compute_wilson",
    "find_line",
    "fit_subject_line",
    "list_models",
]

MIN_CELLS = 20
"""Fewest cells of a subject for a call."""

CALLED_FROM = 0.5
"""Probability from which a subject is called leukaemic."""

CERTAIN_FROM = 0.9
"""Probability of the class called from which the call is certain; 0.56 is hardly one."""

MOST_WARNED = 0.5
"""Share of a subject's cells with a warning beyond which it gets no call."""

CONFIDENCE = 0.95
"""Of Wilson's interval."""

TOO_FEW = "too few cells"
TOO_STRANGE = "too many warnings"
NO_CALL = "no call"

FloatArray = npt.NDArray[np.float64]

_SCORES = ("sensitivity", "specificity", "roc_auc")


@dataclass(frozen=True)
class SubjectSummary:
    """One table of subjects, and its scores.

    Attributes:
        table: one row a subject, highest mean logit first: subject, group and label ("" where not
            known), cells, warned (with a warning, of `predict`), called_leukaemic, share,
            share_low, share_high, mean_probability, mean_logit, probability (NaN where it cannot
            be calibrated), call, certain (bool: whether a class is called, with a probability of
            `CERTAIN_FROM` or more).
        scores: sensitivity, specificity and ROC-AUC of the subjects with enough cells and a label,
            with intervals over people; empty where no label is known.
        scored: how many subjects these are.
        calibration: where the probability comes from, or why there is none, in words.
        notes: caveats for reading the numbers.
    """

    table: pd.DataFrame
    scores: tuple[Score, ...]
    scored: int
    calibration: str
    notes: tuple[str, ...]


def find_line(
    table: pd.DataFrame, metadata: ModelMetadata, name: str, *, given: bool
) -> SubjectLine | None:
    """A model's subject-level calibration, for predictions that may be another model's.

    Args:
        table: as `predictions.read_answers` returns; its column model tells models apart or, in
            older tables, its column threshold.
        metadata: of the model that is taken to have predicted.
        name: of that model.
        given: whether the user says that it has predicted.

    Returns:
        Its line; None where it has none, or where another model predicted.

    Raises:
        DataError: `given`, and the table names another model.
    """
    line = metadata.subjects.line if metadata.subjects else None
    if models := list_models(table):
        if given and models != [name]:
            raise DataError(
                f"The table was predicted by {' and '.join(models)}; `model` is {name}. Give the "
                "model that predicted, or labelled predictions of it in `calibrate`."
            )
        return line if models == [name] else None
    return line if given or _is_called_by(table, metadata.decision) else None


def _is_called_by(table: pd.DataFrame, decision: Decision) -> bool:
    """Whether all calls were made at a threshold of a model, or the table does not say."""
    own = (decision.threshold, decision.sensitive_threshold)
    return "threshold" not in table or all(
        any(math.isclose(given, one, abs_tol=1e-6) for one in own) for given in table["threshold"]
    )


def list_models(table: pd.DataFrame) -> list[str]:
    """Names of the models that predicted, sorted; none where the table does not say."""
    if "model" not in table:
        return []
    names = table["model"].astype(str).where(table["model"].notna(), "").str.strip()
    return sorted(set(names) - {""})


def aggregate_subjects(
    table: pd.DataFrame,
    reference: pd.DataFrame | None = None,
    *,
    line: SubjectLine | None = None,
    n_bootstrap: int = 2000,
    seed: int = 0,
) -> SubjectSummary:
    """Summarise every subject of a table.

    Args:
        table: as `predictions.read_answers` gives it: image, subject, probability, called; where
            known label, group, fold.
        reference: the same with labels, of a network not trained on its cells, to calibrate on;
            by default the table itself. People of the table are excluded from it.
        line: used where neither has labels of both classes.
        n_bootstrap: resamples of people.
        seed: of the bootstrap.
    """
    rows = _gather(table)
    known = rows if reference is None else _gather(reference)
    if line is not None and set(known["label"]) - {""} != set(LABELS):
        probability = _apply_line(rows, line)
        calibration = _describe_line(line, named=bool(list_models(table)))
    else:
        probability, calibration = _calibrate(rows, known, itself=reference is None)
    rows["probability"] = probability
    rows["call"] = _decide(rows)
    rows["certain"] = _find_certain(rows)
    scored = rows[(rows["call"].isin(LABELS)) & (rows["label"] != "")]
    return SubjectSummary(
        table=rows.drop(columns="fold").sort_values(
            ["mean_logit", "subject"], ascending=[False, True], ignore_index=True
        ),
        scores=_score(scored, n_bootstrap, seed) if len(scored) else (),
        scored=len(scored),
        calibration=calibration,
        notes=_list_notes(table, rows, reference),
    )


def compute_wilson(found: int, total: int) -> tuple[float, float]:
    """Wilson's 95% interval of a share; (0, 1) of nothing."""
    if not total:
        return 0.0, 1.0
    from scipy.stats import binomtest  # takes half a second, needed only here

    interval = binomtest(found, total).proportion_ci(CONFIDENCE, method="wilson")
    return float(interval.low), float(interval.high)


def _gather(table: pd.DataFrame) -> pd.DataFrame:
    """One row a subject, in the order of the table."""
    cells = table.assign(logit=compute_logit(table["probability"]))
    rows, warns = [], "warnings" in table
    for subject, own in cells.groupby("subject", sort=False):
        labels = set(own["label"]) if "label" in own else set()
        called = int(own["called"].sum())
        low, high = compute_wilson(called, len(own))
        rows.append(
            {
                "subject": str(subject),
                "group": str(own["group"].iloc[0] if "group" in own else subject),
                "label": labels.pop() if len(labels) == 1 else "",
                "fold": frozenset(own["fold"]) if "fold" in own else frozenset(),
                "cells": len(own),
                "warned": int((own["warnings"].astype(str) != "").sum()) if warns else 0,
                "called_leukaemic": called,
                "share": called / len(own),
                "share_low": low,
                "share_high": high,
                "mean_probability": float(own["probability"].mean()),
                "mean_logit": float(own["logit"].mean()),
            }
        )
    return pd.DataFrame(rows)


def fit_subject_line(table: pd.DataFrame) -> SubjectLine | None:
    """Fit the line on all subjects of a predictions table; None where it lacks a class."""
    return _fit_line(_gather(table.assign(called=False)))


def _fit_line(known: pd.DataFrame) -> SubjectLine | None:
    from sklearn.linear_model import LogisticRegression

    leukaemic = (known["label"] == LEUKAEMIC).to_numpy()
    if set(known["label"]) - {""} != set(LABELS):
        return None
    model = LogisticRegression(C=1.0)  # no infinite slope where the subjects are separable
    weight = 1 / known.groupby("group")["group"].transform("size").to_numpy()
    model.fit(known[["mean_logit"]].to_numpy(), leukaemic, sample_weight=weight)
    slope, intercept = float(model.coef_[0, 0]), float(model.intercept_[0])
    return SubjectLine(slope, intercept, len(known), int(leukaemic.sum()))


def _apply_line(rows: pd.DataFrame, line: SubjectLine) -> FloatArray:
    logit = line.slope * rows["mean_logit"].to_numpy(np.float64) + line.intercept
    return compute_probability(logit)


def _describe_line(line: SubjectLine, *, named: bool) -> str:
    doubt = "" if named else "; if another model than the shipped one was used, name it"
    return (
        "Probability: from the mean logit of the subject's cells, calibrated on the "
        f"{line.names} subject names that the model was tested on while they were held out{doubt}. "
        "It reflects their share of leukaemic subjects "
        f"({line.leukaemic} of {line.names})."
    )


def _calibrate(rows: pd.DataFrame, known: pd.DataFrame, *, itself: bool) -> tuple[FloatArray, str]:
    """Probability of each subject, float64 (n,), NaN where undefined; and how it was calibrated."""
    if set(known["label"]) - {""} != set(LABELS):
        return np.full(len(rows), np.nan), (
            "The table has no labels of both classes to calibrate on, so there is no subject-level "
            "probability and no call, only the share and the mean. Name the model that predicted, "
            "if it has a calibration of its own."
            if itself
            else "The table to calibrate on lacks a class, so there is no probability and no call."
        )
    folds = set().union(*known["fold"])
    by_fold = itself and len(folds) > 1
    found = [_predict_subject(row, known, by_fold) for _, row in rows.iterrows()]
    source = "of the other folds" if itself else "of the other table"
    return np.array(found), (
        "Probability: from the mean logit of the subject's cells, calibrated on the subjects "
        f"{source if by_fold or not itself else 'other than itself'}, never on "
        "the subject itself. It reflects the share of leukaemic subjects there "
        f"({(known['label'] == LEUKAEMIC).sum()} of {(known['label'] != '').sum()} names)."
    )


def _predict_subject(row: pd.Series, known: pd.DataFrame, by_fold: bool) -> float:
    """Probability of one subject, fitted on the others; NaN where these lack a class."""
    same = {row["group"], *known.loc[known["subject"] == row["subject"], "group"]}
    others = ~known["group"].isin(same)
    if by_fold:
        others &= ~known["fold"].map(lambda folds: bool(folds & row["fold"]))
    line = _fit_line(known[others & (known["label"] != "")])
    return float("nan") if line is None else float(_apply_line(row.to_frame().T, line)[0])


def _decide(rows: pd.DataFrame) -> npt.NDArray[np.str_]:
    """A call that not one of the cells is for rests on the share of leukaemic subjects: no call."""
    calls = np.where(rows["probability"] >= CALLED_FROM, LEUKAEMIC, NORMAL)
    against = np.where(calls == LEUKAEMIC, 0, rows["cells"]) == rows["called_leukaemic"]
    calls = np.where(rows["probability"].isna() | against, NO_CALL, calls)
    calls = np.where(rows["warned"] > MOST_WARNED * rows["cells"], TOO_STRANGE, calls)
    return np.where(rows["cells"] < MIN_CELLS, TOO_FEW, calls)


def _find_certain(rows: pd.DataFrame) -> npt.NDArray[np.bool_]:
    probability = rows["probability"].to_numpy(np.float64)
    sure = (probability >= CERTAIN_FROM) | (probability <= 1 - CERTAIN_FROM)
    return np.asarray(sure & rows["call"].isin(LABELS).to_numpy())


def _score(scored: pd.DataFrame, n_bootstrap: int, seed: int) -> tuple[Score, ...]:
    cohort = build_cohort(scored)
    view = compute_view(cohort, draw_group_counts(cohort, n_bootstrap, seed))
    return tuple(view.get(name) for name in _SCORES)


def _list_notes(
    table: pd.DataFrame, rows: pd.DataFrame, reference: pd.DataFrame | None
) -> tuple[str, ...]:
    notes = []
    without = table.attrs.get("without_subject", 0)
    if without:
        notes.append(f"{without} cells without a subject are excluded.")
    if len(models := list_models(table)) > 1:
        notes.append(f"The cells were predicted by {len(models)} models: {', '.join(models)}.")
    few = int((rows["cells"] < MIN_CELLS).sum())
    if few:
        notes.append(f"{few} of {len(rows)} subjects have under {MIN_CELLS} cells: no call.")
    against = int(((rows["call"] == NO_CALL) & rows["probability"].notna()).sum())
    if against:
        notes.append(
            f"{against} of {len(rows)} subjects have a probability for the class that not one of "
            "their cells is called: no call."
        )
    strange = int((rows["call"] == TOO_STRANGE).sum())
    if strange:
        notes.append(
            f"Of {strange} of {len(rows)} subjects more than half of the cells carry a warning: "
            "no call."
        )
    if "label" in table:
        mixed = int((table.groupby("subject")["label"].nunique() > 1).sum())
        if mixed:
            notes.append(f"{mixed} subjects have cells of both labels, and are not scored.")
    people = rows["group"].nunique()
    if people < len(rows):
        notes.append(
            f"{len(rows)} subject names are {people} people; a row is a name, intervals are over "
            "people."
        )
    if "label" in table and "group" not in table:
        notes.append(
            "The table has no column group, so each subject name is treated as one person."
        )
    if any(
        "leaky" in one and bool(one["leaky"].any()) for one in (table, reference) if one is not None
    ):
        notes.append(
            "Leaky split: the network was trained on some of these people; the results are invalid."
        )
    if any("label" in one and "leaky" not in one for one in (table, reference) if one is not None):
        notes.append("Whether the network was trained on these people is not recorded.")
    return tuple(notes)
