"""Predictions → CSV file, JSON lines or a table on the terminal, one by one."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from leukoscope.cli.progress import console
from leukoscope.errors import DataError
from leukoscope.inference.stream import ERROR, Answer, start_answers
from leukoscope.io.files import move_into_place
from leukoscope.notices import RESEARCH_ONLY
from leukoscope.records import UNCERTAIN, ModelMetadata

__all__ = ["AnswerPrinter"]


class AnswerPrinter:
    """Writes predictions as they come; a CSV gets its final name when the block succeeds."""

    def __init__(self, out: Path | None, *, as_json: bool) -> None:
        self._out, self._as_json = out, as_json
        self._stack = ExitStack()
        self._write: Callable[[Answer], None] | None = None
        self._calls: Counter[str] = Counter()
        self._unsure = self._warned = 0
        self._noun = "image"

    def __enter__(self) -> Self:
        """Open the output."""
        if self._out is not None:
            if self._out.is_dir():
                raise DataError(f"{self._out}: a folder. Expected the name of a CSV file.")
            part = self._stack.enter_context(move_into_place(self._out))
            stream: Any = self._stack.enter_context(part.open("w", encoding="utf-8", newline=""))
        else:
            stream = sys.stdout
        if self._out is not None or not self._as_json:
            self._write = start_answers(stream)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Move the file into place, or remove it after an error."""
        self._stack.__exit__(kind, error, trace)

    def show(self, answer: Answer) -> None:
        """Write one prediction."""
        self._calls[answer.call] += 1
        if answer.cell:
            self._noun = "cell"
        self._unsure += answer.conformal_call == UNCERTAIN
        self._warned += bool(answer.warnings) and answer.call != ERROR
        if self._as_json:
            print(json.dumps(answer.to_dict(), ensure_ascii=False))
        if self._write:
            self._write(answer)

    def summarise(self, metadata: ModelMetadata, operating_point: str = "balanced") -> bool:
        """Counts, expected performance and the research-use notice, on standard error.

        Returns:
            Whether any image could be predicted; where none could, no performance is shown.
        """
        total, failed = self._calls.total(), self._calls[ERROR]
        counts = ", ".join(f"{count:,} {call}" for call, count in sorted(self._calls.items()))
        console.print(f"{total:,} {self._noun}{'s' * (total != 1)}: {counts}.")
        if self._out:
            console.print(f"Written: {self._out}", markup=False)
        if total == failed:
            console.print("No image could be predicted; see the column warnings.")
            return False
        console.print(
            f"Conformal calls: {total - self._unsure - failed:,} of one class, "
            f"{self._unsure:,} uncertain ({self._warned:,} of them with a warning)."
        )
        decision = metadata.decision
        sensitive = operating_point == "sensitive"
        threshold = decision.sensitive_threshold if sensitive else decision.threshold
        console.print(
            f"Leukaemic from a probability of {threshold:.3f}; {decision.describe_conformal()}."
        )
        if metadata.expected:
            console.print(metadata.expected.words)
        console.print(RESEARCH_ONLY)
        return True
