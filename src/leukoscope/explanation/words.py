"""Explanations → plain sentences that claim no more than the numbers show."""

from __future__ import annotations

from collections.abc import Iterator

from leukoscope.cells.measures import MEASURES, Measure
from leukoscope.explanation.explain import Explanation
from leukoscope.explanation.faithfulness import LEAST_SCORE, CheckSummary, Faithfulness
from leukoscope.labels import LEUKAEMIC, NORMAL
from leukoscope.records import TrainingMeasures

__all__ = [
    "describe_check",
    "describe_checks",
    "describe_flat",
    "describe_reference",
    "format_measure",
    "format_percentile",
]

_RIVALS = {"random": "random maps", "blob": "a centre blob", "rim": "the rim"}


def format_measure(measure: Measure, value: float | None) -> str:
    """The value with its unit, or "not measurable"."""
    if value is None:
        return "not measurable"
    unit = f" {measure.unit}" if measure.unit not in ("", "°") else measure.unit
    return f"{value:,.{measure.digits}f}{unit}"


def format_percentile(value: float | None) -> str:
    """ "71st", "under the 1st", "over the 99th", or a dash."""
    if value is None:
        return "–"
    number = round(value)
    if number < 1 or number > 99:
        return "under the 1st" if number < 1 else "over the 99th"
    ending = "th" if 10 <= number % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10)
    return f"{number}{ending or 'th'}"


def describe_reference(reference: TrainingMeasures | None) -> str:
    """The cells that percentiles are among, or why there are none; whole sentences."""
    if reference is None:
        return (
            "No percentiles, as the model file holds no measures of its training cells (files of "
            "older versions and of single folds do not)."
        )
    counts = " and ".join(
        f"{found.cells:,} {label} cells of {found.people:,} people"
        for label in (LEUKAEMIC, NORMAL)
        for found in (reference.classes[label],)
    )
    return " ".join(
        [f"Percentiles are among the model's training cells: {counts}.", *_list_rare(reference)]
    )


def _list_rare(reference: TrainingMeasures) -> Iterator[str]:
    """A sentence for each measure that most cells do not have."""
    for measure in MEASURES:
        counts = [
            (found.measurable.get(measure.name, 0), found.cells, label)
            for label in (LEUKAEMIC, NORMAL)
            for found in (reference.classes[label],)
        ]
        if any(2 * known < cells for known, cells, _ in counts):
            words = " and ".join(f"{known:,} {label}" for known, _, label in counts)
            yield f"{measure.title}: measurable in {words} of them only."


def describe_check(check: Faithfulness) -> str:
    """Whether this cell's map is faithful."""
    scores = {"random": check.random_best, "blob": check.blob_score, "rim": check.rim_score}
    lost = [_RIVALS[name] for name, score in scores.items() if check.score <= score]
    numbers = (
        f"(score {_signed(check.score)}; best random map "
        f"{_signed(check.random_best)}, centre blob {_signed(check.blob_score)}, rim "
        f"{_signed(check.rim_score)})"
    )
    if check.passes_check:
        rivals = "random maps, a centre blob and the rim"
        return f"The map passes its check: it scores higher than {rivals} {numbers}."
    if not lost:
        return (
            "Do not trust this map: the detail that it names hardly changes the probability "
            f"{numbers}, expected at least {_signed(LEAST_SCORE)}."
        )
    return f"Do not trust this map: it does not score higher than {_join(lost)} {numbers}."


def describe_flat(explanation: Explanation) -> str:
    """The prediction without the detail that a map can show."""
    return (
        "With its detail blurred away (size, outline and slow changes of colour stay), the network "
        f"gives this cell {explanation.check.flat_probability:.3f} instead of "
        f"{explanation.probability:.3f}."
    )


def describe_checks(summary: CheckSummary, people: str) -> list[str]:
    """The check over all cells, a sentence a thought.

    Args:
        summary: the numbers.
        people: what the intervals are over, such as "31 subjects".
    """
    maps = "maps pass" if summary.cells > 1 else "map passes"
    sentences = [
        f"{summary.passing} of {summary.cells} {maps} the check: a score higher than every random "
        "map, the centre blob and the rim."
    ]
    for name, words in _RIVALS.items():
        key = f"map_minus_{name}"
        difference, interval = summary.means[key], summary.intervals.get(key)
        text = f"Map minus {words}: {_signed(difference)}"
        if interval is None:
            text += " (too few subjects for an interval)"
        else:
            text += f" (95% interval {_signed(interval[0])} to {_signed(interval[1])}, {people})"
            if interval[0] <= 0:
                text += ", so the maps are not shown to be better"
        sentences.append(f"{text}.")
    return sentences


def _signed(value: float) -> str:
    return f"{value:+.2f}".replace("-", "−")


def _join(words: list[str]) -> str:
    return " or ".join(words) if len(words) < 3 else f"{', '.join(words[:-1])} or {words[-1]}"
