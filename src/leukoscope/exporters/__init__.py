"""Trained Keras model → exported file, compared with Keras before it gets its final name."""

from leukoscope.exporters.base import (
    EXPORTERS,
    MAX_DIFFERENCE,
    MAX_SHARE,
    Exporter,
    compute_share,
    export_model,
    find_exporter,
)

__all__ = [
    "EXPORTERS",
    "MAX_DIFFERENCE",
    "MAX_SHARE",
    "Exporter",
    "compute_share",
    "export_model",
    "find_exporter",
]
