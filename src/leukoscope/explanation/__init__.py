"""What drives a network's prediction for one cell, and whether the map of it is faithful.

Works on any network, as only its predictions are used: crops in, probabilities out.
"""

from leukoscope.explanation.explain import Explanation, explain_answer, explain_cell
from leukoscope.explanation.faithfulness import (
    MAPS,
    RANDOM_MAPS,
    Faithfulness,
    Verdict,
    check_map,
    compute_verdict,
)
from leukoscope.explanation.layer import draw_layer, encode_layer, find_limit, scale_map
from leukoscope.explanation.occlusion import FloatArray, Predict, compute_map, flatten_cell
from leukoscope.explanation.words import (
    describe_check,
    describe_flat,
    describe_reference,
    describe_verdict,
    format_measure,
    format_percentile,
)

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
    "describe_check",
    "describe_flat",
    "describe_reference",
    "describe_verdict",
    "draw_layer",
    "encode_layer",
    "explain_answer",
    "explain_cell",
    "find_limit",
    "flatten_cell",
    "format_measure",
    "format_percentile",
    "scale_map",
]
