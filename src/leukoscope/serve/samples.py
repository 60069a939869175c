"""Simulated sample cells for the page, drawn on first request, and the network that predicts them.

The shipped model has learned real cells, to which simulated ones are strange. So a small network
that learned from simulated cells (`experiments/samples_model.py`) predicts the samples, and nothing
else.
"""

from __future__ import annotations

import io
import zipfile
from functools import cache
from importlib import resources
from pathlib import Path

import cv2

from leukoscope.notices import SIMULATED_BANNER, SIMULATED_FILE
from leukoscope.simulate import CohortSettings, draw_cells

__all__ = ["draw_samples", "find_samples_model"]

_SETTINGS = CohortSettings(subjects=6, cells=150, seed=17)


def find_samples_model() -> Path:
    """The network that learned from simulated cells, of other people than the samples'."""
    return Path(str(resources.files("leukoscope") / "shipped" / "simulated.onnx"))


@cache
def draw_samples() -> bytes:
    """A zip of 150 PNG files, `simulated/UID_<subject>_<smear>_<cell>_<all|hem>.png`."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(SIMULATED_FILE, SIMULATED_BANNER)
        for name, rgb in draw_cells(_SETTINGS):
            data = cv2.imencode(".png", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))[1].tobytes()
            archive.writestr(f"simulated/{name.removesuffix('.bmp')}.png", data)
    return buffer.getvalue()
