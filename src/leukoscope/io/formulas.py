"""Text in CSVs that a spreadsheet must not run.

A spreadsheet runs an entry that begins with =, +, - or @ as a formula. So text that begins with
one of these is written with an apostrophe before it, which reading takes off again (OWASP, "CSV
Injection"). Numbers are written as they are.
"""

from __future__ import annotations

import re

__all__ = ["defuse", "restore"]

_FORMULA = re.compile(r"'*[=+\-@\t\r＝＋－＠]")  # full-width: East Asia


def defuse(text: str) -> str:
    """Text as it is written into a CSV: never a formula.

    >>> defuse("=1+1.png"), defuse("cell.png")
    ("'=1+1.png", 'cell.png')
    """
    return f"'{text}" if _FORMULA.match(text) else text


def restore(text: str) -> str:
    """The text that `defuse` was given.

    >>> restore("'=1+1.png"), restore("'tis.png")
    ('=1+1.png', "'tis.png")
    """
    return text[1:] if text.startswith("'") and _FORMULA.match(text) else text
