"""What drives a network's prediction for one cell, and whether the map of it is faithful.

Works on any network, as only its predictions are used: crops in, probabilities out.
"""

from leukoscope.explanation.explain import Explanation, explain_answer, explain_cell
from leukoscope.explanation.faithfulness import (
    MAPS,
    RANDOM_MAPS,
    CheckSummary,
    Faithfulness,
    check_map,
    summarise_checks,
)
from leukoscope.explanation.layer import draw_layer, encode_layer, find_limit, scale_map
from leukoscope.explanation.occlusion import FloatArray, Predict, compute_map, flatten_cell
from leukoscope.explanation.words import (
    describe_check,
    describe_checks,
    describe_flat,
    describe_reference,
    format_measure,
    format_percentile,
)

__all__ = [
    "MAPS",
    "RANDOM_MAPS",
    "CheckSummary",
    "Explanation",
    "Faithfulness",
    "FloatArray",
    "Predict",
    "check_map",
    "compute_map",
    "describe_check",
    "describe_checks",
    "describe_flat",
    "describe_reference",
    "draw_layer",
    "encode_layer",
    "explain_answer",
    "explain_cell",
    "find_limit",
    "flatten_cell",
    "format_measure",
    "format_percentile",
    "scale_map",
    "summarise_checks",
]
