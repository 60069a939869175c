"""Chromatin as texture: moments of early ImageNet features over the cell, independent of its shape.

The classes of unseen people differ in fine texture and colour, not in the deep features that
fine-tuning overfits to its training people (docs/results.md). So the cell is magnified, passed
through the first stages of EfficientNet-Lite0, and each channel of each stage is summarised by its
mean and its deviation over the cell's pixels: 2 numbers a channel, whatever the cell's outline or
orientation. Deviations pooled so are the diagonal of the Gram matrix by which Gatys et al., 2015
(arXiv 1505.07376), describe textures.
"""

from __future__ import annotations

import keras
from keras import ops

from leukoscope.errors import SettingsError
from leukoscope.models.lite0 import apply_lite0_stages

__all__ = ["BACKBONE", "apply_texture"]

_STAGES = 5  # of seven: up to 1/16 of the input
_BLACK = 10.03  # grey level up to which a pixel is background; no interpolated level equals it
_FLOOR = 1e-3  # added to variances: the root of next to nothing would magnify rounding


def apply_texture(images: keras.KerasTensor, pretrained: bool) -> keras.KerasTensor:
    """Moments over the foreground of the stem and the first five stages of EfficientNet-Lite0.

    Args:
        images: float32 (batch, size, size, 3), RGB, 0 to 255, black around the cell.
        pretrained: start from ImageNet weights.

    Returns:
        float32 (batch, 609): log of the foreground's share, then for each of 32, 16, 24, 40, 80 and
        112 channels the mean, then the deviation.

    Raises:
        SettingsError: a size that is no multiple of 16.
    """
    size = int(images.shape[1])
    if size % 16:
        raise SettingsError(f"input_px = {size}. Expected a multiple of 16 for this architecture.")
    inside = ops.cast(ops.max(images, axis=-1, keepdims=True) > _BLACK, images.dtype)
    share = ops.mean(inside, axis=(1, 2))
    found = [ops.log(share + 1e-3)]
    for features in apply_lite0_stages(images, _STAGES, pretrained):
        found.extend(_compute_moments(features, inside))
    return keras.layers.Concatenate(name="moments")(found)


BACKBONE = apply_texture


def _compute_moments(
    features: keras.KerasTensor, inside: keras.KerasTensor
) -> tuple[keras.KerasTensor, keras.KerasTensor]:
    """Mean and deviation of each channel over the foreground, (batch, channels) each."""
    factor = int(inside.shape[1]) // int(features.shape[1])
    weight = keras.layers.AveragePooling2D(factor)(inside)
    total = ops.maximum(_sum(weight), 1.0)  # an empty image has moments too
    mean = _sum(weight * features) / total
    variance = _sum(weight * ops.square(features - mean)) / total
    return ops.squeeze(mean, axis=(1, 2)), ops.sqrt(ops.squeeze(variance, axis=(1, 2)) + _FLOOR)


def _sum(values: keras.KerasTensor) -> keras.KerasTensor:
    """Sum over the pixels, rows first: one long float32 sum would lose digits."""
    return ops.sum(ops.sum(values, axis=2, keepdims=True), axis=1, keepdims=True)
