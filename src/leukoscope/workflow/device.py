"""The training device: chosen by name, set before Keras loads."""

from __future__ import annotations

import os
import sys

from leukoscope.errors import SettingsError, describe_install

__all__ = ["DEVICES", "set_device"]

DEVICES = ("auto", "cpu", "gpu")
_BACKENDS = ("tensorflow", "jax", "torch")


def set_device(device: str = "auto") -> None:
    """Choose what networks are trained on; loads nothing for "auto" and "cpu".

    Args:
        device: "auto" (a GPU where Keras finds one, else the CPU), "cpu" or "gpu".

    Raises:
        SettingsError: another word, no GPU that Keras finds, or "cpu" after a GPU is in use.
        MissingExtraError: "gpu" without Keras.
    """
    if device not in DEVICES:
        raise SettingsError(f"Unknown device {device!r}. Expected {', '.join(DEVICES)}.")
    if device == "auto":
        return
    if device == "cpu" and not any(name in sys.modules for name in _BACKENDS):
        os.environ["CUDA_VISIBLE_DEVICES"] = "-1"  # for TensorFlow and PyTorch
        os.environ["JAX_PLATFORMS"] = "cpu"
        return
    from leukoscope.models import keras

    gpus = keras.distribution.list_devices("gpu")
    if device == "gpu" and not gpus:
        raise SettingsError(
            "No GPU was found: Keras sees none. Install the drivers and Keras for them, or "
            f"choose cpu in `device`. {describe_install('train-gpu')}"
        )
    if device == "cpu" and gpus:
        raise SettingsError(
            "A GPU is in use by this process already. Ask for the CPU before anything is trained, "
            "in a new process."
        )
