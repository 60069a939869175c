"""A run of training."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from leukoscope.io.runs import Run
from leukoscope.notices import find_banner
from leukoscope.report import figures
from leukoscope.results.display import Figure, join_html

__all__ = ["TrainedRun"]


@dataclass(frozen=True)
class TrainedRun:
    """A run of training; `lk.load_model`, `lk.evaluate` and `lk.aggregate` take it.

    Attributes:
        run: paths of its files.
    """

    run: Run

    @property
    def folder(self) -> Path:
        """Its path."""
        return self.run.folder

    @property
    def predictions(self) -> pd.DataFrame:
        """Each cell, predicted by the network not trained on its person (but in leaky splits)."""
        from leukoscope.predictions import read_predictions

        return read_predictions(self.run.predictions)

    @property
    def history(self) -> pd.DataFrame:
        """One row an epoch of each network."""
        return self.run.read_history()

    def plot_history(self) -> Figure:
        """Loss and AUC over epochs; `run` is what `train` returned.

        >>> run.plot_history().save("history.svg").name
        'history.svg'
        """
        return Figure(figures.draw_history(self.history))

    def __fspath__(self) -> str:
        return str(self.folder)

    def __repr__(self) -> str:
        return " ".join(self._describe())

    def _repr_html_(self) -> str:
        banner = find_banner(Path(self.run.read_record().root))
        last = self.history.groupby("fold", sort=False).tail(1)
        return join_html(banner, self._describe(), last)

    def _describe(self) -> list[str]:
        record = self.run.read_record()
        leaky = " Leaky split: its scores do not hold on new people." if record.split.leaky else ""
        return [
            f"Run {self.folder}: recipe {record.recipe.name}, split {record.split.name}, "
            f"{record.data.cells:,} cells of {record.data.groups} people.{leaky}"
        ]
