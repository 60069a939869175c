"""Our own network: a small residual CNN for cells of about 50 pixels, trained from scratch."""

from __future__ import annotations

import keras

__all__ = ["BACKBONE", "apply_compact"]

_STAGES = ((24, 1), (48, 2), (96, 2), (160, 2))
"""(channels, residual blocks) at 1/4, 1/8, 1/16 and 1/32 of the input: 1.5 M parameters."""


def apply_compact(images: keras.KerasTensor, pretrained: bool) -> keras.KerasTensor:
    """Residual CNN after He et al., 2016 (arXiv 1512.03385), with four narrow stages.

    Args:
        images: float32 (batch, size, size, 3), 0 to 255.
        pretrained: ignored: there are no pretrained weights.

    Returns:
        Features (batch, size / 32, size / 32, 160).
    """
    del pretrained
    x = keras.layers.Rescaling(1 / 64, name="scale")(images)
    x = _convolve(x, _STAGES[0][0], "stem", stride=2)
    x = keras.layers.MaxPooling2D(2, name="stem_pool")(x)
    for stage, (channels, blocks) in enumerate(_STAGES):
        if stage:
            x = _convolve(x, channels, f"stage{stage}_down", stride=2)
        for block in range(blocks):
            x = _add_block(x, channels, f"stage{stage}_block{block}")
    return x


BACKBONE = apply_compact


def _add_block(x: keras.KerasTensor, channels: int, name: str) -> keras.KerasTensor:
    y = _convolve(x, channels, f"{name}_a")
    y = _convolve(y, channels, f"{name}_b", activate=False)
    x = keras.layers.Add(name=f"{name}_add")([x, y])
    return keras.layers.Activation("relu", name=f"{name}_out")(x)


def _convolve(
    x: keras.KerasTensor, channels: int, name: str, *, stride: int = 1, activate: bool = True
) -> keras.KerasTensor:
    x = keras.layers.Conv2D(
        channels, 3, stride, "same", use_bias=False, kernel_initializer="he_normal", name=name
    )(x)
    x = keras.layers.BatchNormalization(momentum=0.95, name=f"{name}_norm")(x)
    return keras.layers.Activation("relu", name=f"{name}_relu")(x) if activate else x
