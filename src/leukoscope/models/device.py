"""Choose precision and compilation for the device in use."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import keras

from leukoscope.machine import count_workers

__all__ = [
    "choose_compilation",
    "choose_precision",
    "count_threads",
    "set_precision",
    "set_threads",
]


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


def count_threads() -> int:
    """Threads that an operation is shared among: as many as there are cores, unless it was set.

    Eigen adds in another order with another number, and a training magnifies the last bit: the
    probabilities of two networks, 1 thread against 2, differed by up to 0.07 after three epochs.
    TensorFlow's switch for deterministic operations does not change that.
    """
    if keras.backend.backend() != "tensorflow":
        return count_workers()
    import tensorflow as tf

    named = os.environ.get("TF_NUM_INTRAOP_THREADS", "")
    chosen = int(tf.config.threading.get_intra_op_parallelism_threads())
    return chosen or (int(named) if named.isdecimal() else 0) or count_workers()


def set_threads(count: int) -> bool:
    """Share operations among so many threads, on however many cores.

    Returns:
        Whether it is so; TensorFlow takes no other number once it has computed anything.
    """
    if count == count_threads():
        return True
    if keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf

    try:
        tf.config.threading.set_intra_op_parallelism_threads(count)
    except RuntimeError:
        return False
    return True
