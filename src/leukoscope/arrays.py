"""Type names of the arrays passed between stages; shapes and units are documented at their use."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["BoolArray", "FloatArray", "IntArray", "UInt8Array"]

BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]
UInt8Array = npt.NDArray[np.uint8]
