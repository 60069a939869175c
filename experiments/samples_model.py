"""The small network that predicts the page's samples: of simulated cells; kept as the record.

    PYTHONPATH=experiments python experiments/samples_model.py OUT

Draws a cohort (seed 1; the samples are people of seed 17), trains recipe `demo` with the network
below, and puts `simulated.onnx` beside the run in OUT. It ships as
`src/leukoscope/shipped/simulated.onnx`. Some minutes on two cores.
"""

from __future__ import annotations

import shutil
import sys
from dataclasses import replace
from pathlib import Path

import keras

from leukoscope.settings import read_recipe
from leukoscope.simulate import CohortSettings, simulate_cohort
from leukoscope.workflow.training import TrainingRequest, train_run

COHORT = CohortSettings(subjects=48, cells=2400, seed=1)
CHANNELS = (16, 24, 32, 48)
"""At 1/4, 1/8, 1/16 and 1/32 of the input: 0.1 million parameters."""


def apply_small(images: keras.KerasTensor, pretrained: bool) -> keras.KerasTensor:
    """Eight convolutions, as in `compact` but narrow: simulated cells need no more."""
    del pretrained
    x = keras.layers.Rescaling(1 / 64)(images)
    x = keras.layers.MaxPooling2D(2)(_convolve(x, CHANNELS[0], 2))
    for stage, channels in enumerate(CHANNELS):
        x = _convolve(x, channels, 2 if stage else 1)
        x = keras.layers.Add()([x, _convolve(x, channels, 1)])
    return x


def _convolve(x: keras.KerasTensor, channels: int, stride: int) -> keras.KerasTensor:
    x = keras.layers.Conv2D(channels, 3, stride, "same", use_bias=False)(x)
    x = keras.layers.BatchNormalization(momentum=0.95)(x)
    return keras.layers.Activation("relu")(x)


def main(out: Path) -> None:
    """Draw, train, copy."""
    recipe = read_recipe("demo")
    small = replace(recipe.model, architecture="samples_model:apply_small")
    longer = replace(recipe.training, epochs=16, patience=16)
    cells = simulate_cohort(out / "cells", COHORT).root
    request = TrainingRequest(
        cells, out / "run", recipe=replace(recipe, model=small, training=longer)
    )
    run = train_run(request)
    shutil.copy(run.folder / "model.onnx", out / "simulated.onnx")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
