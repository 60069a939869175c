"""Choose precision and compilation for the device in use."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import keras

__all__ = ["choose_compilation", "choose_precision", "set_precision"]


_WORTH_COMPILING = 20_000  # images: about where 15 s are won back


def choose_precision() -> str:
    """Keras dtype policy for training: bfloat16 where the device multiplies it faster.

    That is on GPUs, and on CPUs with AMX or AVX-512 BF16 units; elsewhere float32.
    """
    if keras.distribution.list_devices("gpu"):
        return "mixed_bfloat16"
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="ignore")
    except OSError:
        return "float32"
    fast = "amx_bf16" in flags or "avx512_bf16" in flags
    return "mixed_bfloat16" if fast else "float32"


def choose_compilation(model: keras.Model, images: int) -> bool:
    """Whether it pays to compile the training step with XLA.

    Measured on two CPU cores: a network of plain convolutions trains a fifth faster with it after
    some 15 s of compiling, one with depthwise convolutions six times slower (their gradients), a
    head of dense layers ten times.
    On accelerators it is switched on unmeasured.

    Args:
        model: to be trained.
        images: total over all epochs.
    """
    if keras.backend.backend() == "torch":
        return False
    if keras.distribution.list_devices("gpu") or keras.distribution.list_devices("tpu"):
        return True
    kinds = {type(layer) for layer in model.layers}
    plain = keras.layers.Conv2D in kinds and keras.layers.DepthwiseConv2D not in kinds
    return plain and images >= _WORTH_COMPILING


@contextmanager
def set_precision(policy: str) -> Iterator[None]:
    """Build layers under a dtype policy."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
