"""What drives a network's answer for one cell, and whether the map of it can be believed.

Works on any network, as only its answers are used: crops in, probabilities out.
"""

from leukoscope.explain.explanation import Explanation, explain_cell
from leukoscope.explain.faithfulness import (
    MAPS,
    RANDOM_MAPS,
    Faithfulness,
    Verdict,
    check_map,
    compute_verdict,
)
from leukoscope.explain.occlusion import FloatArray, Predict, compute_map, flatten_cell

__all__ = [
    "MAPS",
    "RANDOM_MAPS",
    "Explanation",
    "Faithfulness",
    "FloatArray",
    "Predict",
    "Verdict",
    "check_map",
    "compute_map",
    "compute_verdict",
    "explain_cell",
    "flatten_cell",
]
