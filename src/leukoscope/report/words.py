"""Numbers → plain sentences that claim no more than the numbers show."""

from __future__ import annotations

from leukoscope.evaluation import Baseline, Evaluation, Score, find_score

__all__ = [
    "LEAST_CELLS",
    "describe_abstention",
    "describe_evaluation",
    "format_interval",
    "format_thresholds",
    "format_value",
    "list_context",
]

LEAST_CELLS = 20
"""Fewest cells of a subject for the lowest per-subject accuracy."""

_WIDE = 0.10  # an interval wider than this covers the differences between published systems
_UNEVEN = 0.05  # scores by cell and subject-weighted differ notably beyond this
_LARGE_SHARE = 0.15  # one subject with so many of the cells dominates the scores by cell
_POOR_CALIBRATION = 0.10
_CONTEXT = ("weighted_f1", "roc_auc", "sensitivity", "specificity")


def format_value(score: Score) -> str:
    """Three decimals, or why there is no number."""
    return score.reason if score.value is None else _round(score.value)


def format_interval(score: Score) -> str:
    """ "0.742 to 0.876", or why there is none; empty where the value itself is missing."""
    if score.value is None:
        return ""
    if score.low is None or score.high is None:
        return score.reason
    if score.low == score.high:
        return ""  # the same for whichever people, such as the calls of all-leukaemic
    return f"{_round(score.low)} to {_round(score.high)}"


def format_thresholds(evaluation: Evaluation) -> str:
    """One threshold, or the lowest and the highest."""
    low, high = evaluation.thresholds
    return f"{low:g}" if low == high else f"{low:.2f} to {high:.2f}"


def _round(value: float) -> str:
    return f"{value:.3f}".replace("-0.000", "0.000").replace("-", "−")


def describe_evaluation(evaluation: Evaluation) -> list[str]:
    """Say what the numbers mean and what they do not, one topic per paragraph."""
    paragraphs = [
        _describe_calls(evaluation),
        _describe_ranking(evaluation),
        _describe_baselines(evaluation),
        _describe_spread(evaluation),
        _describe_calibration(evaluation),
    ]
    return [paragraph for paragraph in paragraphs if paragraph]


def _describe_calls(evaluation: Evaluation) -> str:
    """Whose cells they are, and how the network calls them."""
    counts = evaluation.counts
    cells = f"{counts.cells:,} cells of {counts.people} people"
    if counts.people != counts.subjects:
        cells += f" (under {counts.subjects} names)"
    openings = {
        "clean": f"On {cells} the network was not trained on:",
        "leaky": "These numbers do not hold on new people: a cell or a person is on both sides "
        f"of the split, and may have been recognised. On these {cells}:",
        "unknown": "Whether the network was trained on these people is not recorded, so do not "
        f"take this as its performance on new people. On {cells}:",
    }
    found = find_score(evaluation.by_cell, "sensitivity")
    spared = find_score(evaluation.by_cell, "specificity")
    return " ".join(
        [
            openings[evaluation.leak.status],
            "there are no leukaemic cells, so sensitivity is not defined (n = 0)."
            if found.value is None
            else f"of 100 leukaemic cells it calls {_percent(found.value)} leukaemic"
            f"{_range(found)}.",
            "There are no normal cells, so specificity is not defined (n = 0)."
            if spared.value is None
            else f"Of 100 normal cells it calls {_percent(1 - spared.value)} leukaemic too"
            f"{_range(spared, mirrored=True)}.",
        ]
    )


def _describe_ranking(evaluation: Evaluation) -> str:
    auc = find_score(evaluation.by_cell, "roc_auc")
    if auc.value is None:
        return ""
    sentences = [
        f"Given one leukaemic and one normal cell, it gives the leukaemic one the higher "
        f"probability {_percent(auc.value)} times in 100{_range(auc)}; chance is 50 times."
    ]
    if auc.low is not None and auc.low <= 0.5:
        sentences.append("The interval reaches 50, so it is not shown to be better than chance.")
    return " ".join(sentences)


def _describe_baselines(evaluation: Evaluation) -> str:
    constant, size = evaluation.baselines
    sentences = []
    f1 = find_score(evaluation.by_cell, "weighted_f1")
    if constant.status == "available" and f1.value is not None:
        theirs = find_score(constant.by_cell, "weighted_f1")
        compared = _describe_difference(find_score(constant.differences_by_cell, "weighted_f1"))
        sentences.append(
            f"Calling every cell leukaemic gives a weighted F1 of {format_value(theirs)}; the "
            f"network's {format_value(f1)} {compared}."
        )
    sentences.append(_describe_size(evaluation, size))
    return " ".join(sentence for sentence in sentences if sentence)


def _describe_size(evaluation: Evaluation, size: Baseline) -> str:
    if size.status == "not available":
        return "The size of the cells is not known, so size alone cannot be compared."
    auc, theirs = find_score(evaluation.by_cell, "roc_auc"), find_score(size.by_cell, "roc_auc")
    if auc.value is None or theirs.value is None:
        return ""
    difference = find_score(size.differences_by_cell, "roc_auc")
    return (
        f"The size of a cell alone reaches a ROC-AUC of {format_value(theirs)}; the "
        f"network's {format_value(auc)} {_describe_difference(difference)} "
        f"(difference {format_value(difference)}, interval {format_interval(difference)})."
    )


def _describe_difference(difference: Score) -> str:
    if difference.value is None:
        return "cannot be compared with it"
    if difference.low is None or difference.high is None:
        return f"differs by {format_value(difference)}, with too few people for an interval"
    if difference.low > 0:
        return "is better"
    if difference.high < 0:
        return "is worse"
    return "is not shown to be better, as the interval of the difference includes 0"


def _describe_spread(evaluation: Evaluation) -> str:
    sentences = []
    auc, alike = (find_score(v, "roc_auc") for v in (evaluation.by_cell, evaluation.by_subject))
    counts = evaluation.counts
    if counts.largest_subject_share is not None and counts.largest_subject_share > _LARGE_SHARE:
        sentences.append(
            f"One subject, {counts.largest_subject}, has {_percent(counts.largest_subject_share)}% "
            "of all cells, and dominates the scores by cell."
        )
    if auc.value is not None and alike.value is not None:
        far = abs(auc.value - alike.value) > _UNEVEN
        sentences.append(
            f"Subject-weighted, the ROC-AUC is {format_value(alike)}"
            + (": the difference comes from a few people with many cells." if far else ".")
        )
    many = [row for row in evaluation.subjects if row.cells >= LEAST_CELLS]
    worst = min(
        many or evaluation.subjects, key=lambda row: (row.accuracy, -row.cells), default=None
    )
    if worst is not None:
        sentences.append(
            f"Lowest per-subject accuracy: subject {worst.subject} ({worst.label}), "
            f"{_percent(worst.accuracy)}% of {worst.cells:,} cells correctly classified."
        )
    sentences.append(_describe_interval(evaluation))
    return " ".join(sentence for sentence in sentences if sentence)


def _describe_interval(evaluation: Evaluation) -> str:
    scores = [find_score(evaluation.by_cell, name) for name in ("roc_auc", "weighted_f1")]
    if scores[0].value is None:
        return ""
    widths = [s.high - s.low for s in scores if s.low is not None and s.high is not None]
    if not widths:
        return "With so few people no interval can be given."
    text = "The intervals show how far the scores vary with the people who happen to be in the set"
    if max(widths) > _WIDE:
        return text + (
            "; they are wide, so a system a few hundredths better or worse cannot be distinguished "
            "from this one here."
        )
    return text + "."


def _describe_calibration(evaluation: Evaluation) -> str:
    auc, ece = (find_score(evaluation.by_cell, name) for name in ("roc_auc", "ece"))
    if auc.value is None or ece.value is None:
        return ""
    text = f"On average a probability is {_percent(ece.value)} percentage points off the observed "
    text += "share of leukaemic cells"
    if ece.value > _POOR_CALIBRATION:
        return f"{text}: the probabilities are poorly calibrated."
    return f"{text}."


def list_context(evaluation: Evaluation) -> list[tuple[Score, Score]]:
    """Scores of cells in the context of their subject, by cell and by subject; may be empty."""
    if not evaluation.context_by_cell:
        return []
    views = (evaluation.context_by_cell, evaluation.context_by_subject)
    return [(find_score(views[0], name), find_score(views[1], name)) for name in _CONTEXT]


def describe_abstention(evaluation: Evaluation) -> str:
    """Conformal calls, their coverage, and novel cells; empty where the table has none."""
    found = evaluation.abstention
    sentences = []
    if found.sure and found.sure[0].value is not None:
        share, accuracy = found.sure
        sentences.append(
            f"Of 100 cells {_percent(found.sure[0].value)} have a conformal call of one class"
            f"{_range(share)}"
            + (
                "."
                if accuracy.value is None
                else f", and of 100 such calls {_percent(accuracy.value)} are correct"
                f"{_range(accuracy)}."
            )
        )
        kept = [
            (s, label) for s, label in zip(found.coverage, ("leukaemic", "normal"), strict=False)
        ]
        told = [
            f"{_percent(s.value)} of 100 {label} cells" for s, label in kept if s.value is not None
        ]
        sentences.append(
            f"The prediction set holds the true label of {' and '.join(told)}; the target is 90 "
            "for new people like these."
        )
    if found.unusual and found.unusual[0].value is not None:
        sentences.append(
            f"{_percent(found.unusual[0].value)} of 100 cells are novel: beyond the novelty limit, "
            "far from the training cells."
        )
    return " ".join(sentences)


def _percent(share: float) -> str:
    return f"{100 * share:.0f}"


def _range(score: Score, mirrored: bool = False) -> str:
    """The interval in cells of 100, in brackets; mirrored: of the complement."""
    if score.low is None or score.high is None:
        return " (too few people for an interval)"
    low, high = (1 - score.high, 1 - score.low) if mirrored else (score.low, score.high)
    return f" (95% interval {_percent(low)} to {_percent(high)})"
