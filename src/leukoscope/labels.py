"""Class names, shared by every table."""

from __future__ import annotations

__all__ = [
    "CLASS_COLOURS",
    "LABELS",
    "LEUKAEMIC",
    "NORMAL",
    "list_words",
    "parse_label",
]

NORMAL, LEUKAEMIC = "normal", "leukaemic"

LABELS = (NORMAL, LEUKAEMIC)
"""The classes, in the order of their codes 0 and 1."""

CLASS_COLOURS = {LEUKAEMIC: "#D55E00", NORMAL: "#0072B2"}
"""In every picture; distinguishable for the colour-blind too (Okabe and Ito)."""

_SYNONYMS = {
    **dict.fromkeys(("leukaemic", "leukemic", "leukaemia", "leukemia", "1", "1.0"), LEUKAEMIC),
    **dict.fromkeys(("normal", "healthy", "0", "0.0"), NORMAL),
}


def list_words() -> list[str]:
    """Usual words for the classes, lower case."""
    return list(_SYNONYMS)


def parse_label(word: object) -> str | None:
    """One of `LABELS` for any usual word for it, else None. A data set's own are in its spec.

    >>> parse_label("Leukemia"), parse_label(0), parse_label("blast")
    ('leukaemic', 'normal', None)
    """
    return _SYNONYMS.get(str(word).strip().lower())
