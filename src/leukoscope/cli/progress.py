"""Progress bars on standard error; nothing is drawn where it is not a terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

if TYPE_CHECKING:
    from leukoscope.training.loop import EpochReport

__all__ = ["TrainingDisplay", "console", "show_progress"]

console = Console(stderr=True, highlight=False)


def _build_progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        redirect_stdout=sys.stdout.isatty(),  # else rows meant for a file go to the terminal
    )


@contextmanager
def show_progress(*titles: str) -> Iterator[list[Callable[[int, int], None]]]:
    """Bars that appear with their first call: one callback (done, total) for each title."""
    with _build_progress() as progress:

        def make(title: str) -> Callable[[int, int], None]:
            task = progress.add_task(title, visible=False)

            def update(done: int, total: int) -> None:
                progress.update(task, completed=done, total=total, visible=done < total)

            return update

        yield [make(title) for title in titles]


class TrainingDisplay:
    """One bar over all networks of a run, and a line for each epoch."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task = progress.add_task("Training", total=None)
        self._part, self._parts, self._name = 0, 1, ""
        self._epoch = 0
        self._started = time.monotonic()

    @classmethod
    @contextmanager
    def open(cls) -> Iterator[TrainingDisplay]:
        """Draw while the block runs."""
        with _build_progress() as progress:
            yield cls(progress)

    def show_preparation(self, done: int, total: int) -> None:
        """Called while images are decoded."""
        words = "Reading images" if done < total else "Comparing cells, then training"
        self._progress.update(self._task, description=words, completed=done, total=total)

    def print(self, sentence: str) -> None:
        """A line that stays."""
        self._progress.console.print(sentence, markup=False, highlight=False)

    def show_features(self, done: int, total: int) -> None:
        """Called while the features of a frozen recipe are computed."""
        words = "Computing features"
        self._progress.update(self._task, description=words, completed=done, total=total)

    def start_part(self, name: str, number: int, count: int) -> None:
        """Called before each network is trained."""
        self._name, self._part, self._parts = name, number, count
        self._epoch, self._started = 0, time.monotonic()

    def show_step(self, report: EpochReport) -> None:
        """Called after each step."""
        total = report.steps * report.epochs
        done = report.steps * (report.epoch - 1) + report.step
        self._progress.update(
            self._task,
            description=f"{self._name} ({self._part} of {self._parts}), epoch "
            f"{report.epoch}/{report.epochs}, loss {report.loss:.3f}",
            completed=done + total * (self._part - 1),
            total=total * self._parts,
        )
        if report.step == report.steps and report.epoch != self._epoch:
            self._epoch = report.epoch
            seconds = time.monotonic() - self._started
            before = "" if report.stop_auc is None else f", AUC before {report.stop_auc:.3f}"
            self._progress.console.print(
                f"{self._name}: epoch {report.epoch} of {report.epochs}, loss "
                f"{report.loss:.3f}{before}, {seconds:.0f} s"
            )
