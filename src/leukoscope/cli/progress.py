"""Progress bars on standard error, in terminals only."""

from __future__ import annotations

import dataclasses
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
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

from leukoscope.cli.verbosity import is_quiet

if TYPE_CHECKING:
    from leukoscope.training.loop import EpochReport

__all__ = ["TrainingDisplay", "console", "show_progress"]

console = Console(stderr=True, highlight=False, quiet=is_quiet())

_TOO_SOON = 5.0  # seconds from the first step, before which no time left is told


def _build_progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,  # else it leaves an empty line in a pipe or a file
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

    def __init__(
        self, progress: Progress, run: Path, *, final: bool, tensorboard: Path | None
    ) -> None:
        self._progress, self._run = progress, run
        self._final, self._tensorboard = final, tensorboard
        self._task = progress.add_task("Training", total=None)
        self._number, self._count, self._name = 0, 1, ""
        self._started = 0.0
        self._done_before: float | None = None  # when training began: a run may be continued
        self._log: Callable[[EpochReport], None] | None = None

    @classmethod
    @contextmanager
    def open(
        cls, run: Path, *, final: bool = True, tensorboard: Path | None = None
    ) -> Iterator[TrainingDisplay]:
        """Draw while the block runs.

        Args:
            run: folder of the run, printed before the first network is trained.
            final: whether the last network is the one trained on all cells.
            tensorboard: folder to log finished epochs to as well.
        """
        with _build_progress() as progress:
            yield cls(progress, run, final=final, tensorboard=tensorboard)

    def show_preparation(self, done: int, total: int) -> None:
        """Called while images are decoded."""
        words = "Reading images" if done < total else "Comparing cells, then training"
        self._progress.update(self._task, description=words, completed=done, total=total)

    def print(self, sentence: str) -> None:
        """A line that stays."""
        self._progress.console.print(sentence, markup=False, highlight=False, soft_wrap=True)

    def show_features(self, done: int, total: int) -> None:
        """Called while the features of a frozen recipe are computed."""
        words = "Computing features"
        self._progress.update(self._task, description=words, completed=done, total=total)

    def start_network(self, name: str, number: int, count: int) -> None:
        """Called before each network is trained."""
        if not self._number:
            self.print(f"Run: {self._run}")
        self._name, self._number, self._count = name, number, count

    def show_step(self, report: EpochReport) -> None:
        """Called after each step, and when an epoch is over."""
        steps = report.steps * report.epochs
        done = report.steps * (report.epoch - 1) + report.step
        share = (self._number - 1 + done / steps) / self._count
        if self._done_before is None:
            self._done_before, self._started = share - 1 / steps / self._count, time.monotonic()
        self._progress.update(
            self._task,
            description=f"{self._describe_network()}, epoch {report.epoch} of {report.epochs}, "
            f"loss {report.loss:.3f}",
            completed=done + steps * (self._number - 1),
            total=steps * self._count,
        )
        if report.finished:
            self._print_epoch(report, self._estimate_rest(share))
            self._log_epoch(report)

    def _describe_network(self) -> str:
        if self._final and self._number == self._count:
            return "Final network"
        return f"Fold {self._number} of {self._count - self._final}"

    def _estimate_rest(self, share: float) -> float:
        """Seconds to the end of the run, as fast as before; less where networks stop early."""
        gained = share - (self._done_before or 0.0)
        return (time.monotonic() - self._started) * (1 - share) / gained if gained > 0 else 0.0

    def _print_epoch(self, report: EpochReport, rest: float) -> None:
        left = f", about {rest:.0f} s left" if rest < 90 else f", about {rest / 60:.0f} min left"
        if time.monotonic() - self._started < _TOO_SOON:
            left = ""  # of a network's end, which takes longer than its epochs, nothing is known
        self.print(
            f"{self._describe_network()}, epoch {report.epoch} of {report.epochs}: "
            f"{report.describe()}, {report.seconds or 0:.0f} s{left}"
        )

    def _log_epoch(self, report: EpochReport) -> None:
        if self._tensorboard is None:
            return
        if self._log is None:
            from leukoscope.training.tensorboard import log_to_tensorboard

            self._log = log_to_tensorboard(self._tensorboard)
        self._log(dataclasses.replace(report, fold=self._name))
