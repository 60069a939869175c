"""Schemas of the API's responses."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from leukoscope.cells.extract import Box, Cell
from leukoscope.inference.stream import Answer
from leukoscope.io.images import compute_pixel_hash
from leukoscope.labels import CLASS_COLOURS, LEUKAEMIC, NORMAL
from leukoscope.serve.limits import Limits
from leukoscope.serve.upload import FIELDS

__all__ = [
    "ERRORS",
    "EXPLAIN_BODY",
    "REQUEST_BODY",
    "Answers",
    "Check",
    "Explained",
    "Facts",
    "Health",
    "Line",
    "Measured",
    "Model",
    "Place",
    "Row",
    "build_row",
]


class Row(BaseModel):
    """The prediction of one cell, or why an image has none."""

    image: str = Field(description="Its name; within a zip, its path there.")
    cell: str = Field(description="Names the cell within the image; empty where the image is it.")
    probability: float | None = Field(
        ge=0,
        le=1,
        description="Of leukaemic; null where the image could not be read, or is no cell.",
    )
    call: Literal["leukaemic", "normal", "error"]
    conformal_call: Literal["leukaemic", "normal", "uncertain", "error"] = Field(
        description="Leukaemic or normal where the other is ruled out, without a warning."
    )
    warnings: str = Field(
        description="Image-quality and novelty warnings, or the error; separated by '; '."
    )
    threshold: float = Field(description="Probability from which the call is leukaemic.")
    subject: str = Field(
        description="As its name gives it by the rule of the model's data set (`facts.naming`); "
        "empty where it gives none."
    )
    model: str = Field(description="Name of the model file: its recipe and its digest.")
    box: Box | None = Field(
        description="Where the cell lies in the image: left, top, width and height in pixels; "
        "null where the image could not be read."
    )
    crop_hash: str = Field(
        description="Of the pixels that the model saw: equal for equal ones, whatever the file; "
        "empty where the image could not be read."
    )


def build_row(answer: Answer, cell: Cell | None) -> Row:
    """The row of a prediction and its cell."""
    seen = compute_pixel_hash(cell.crop) if cell else ""
    return Row(**answer.to_dict(), box=cell.box if cell else None, crop_hash=seen)


class Answers(BaseModel):
    """Predictions for one request, in its order; the images of a zip are sorted by name."""

    rows: list[Row] = Field(description="One a cell; an image has one at least.")
    called_at: float = Field(description="Probability from which a cell was called leukaemic.")
    threshold: float = Field(description="The model's balanced threshold.")
    sensitive_threshold: float = Field(
        description="Meant to find a set share of leukaemic cells (`facts.sensitivity`)."
    )
    expected: str | None = Field(description="Expected performance on new people.")
    notice: str


class Check(BaseModel):
    """Deletion and insertion: whether the map is better than uninformed maps."""

    score: float = Field(description="Area under insertion minus that under deletion, -1 to 1.")
    random_best: float = Field(description="The highest score of a random map.")
    blob_score: float = Field(description="Of a blob that takes the cell's centre first.")
    rim_score: float = Field(description="Of its opposite.")
    deletion: float = Field(description="Area under the called class's probability, 0 to 1.")
    insertion: float
    flat_probability: float = Field(description="Of leukaemic, all detail blurred away.")


class Place(BaseModel):
    """Percentile of a value among a class's cells."""

    value: float | None = Field(description="Percentile, 0 to 100; null where not measurable.")
    words: str


class Measured(BaseModel):
    """One measure of the cell."""

    name: str
    title: str
    unit: str
    value: float | None = Field(description="Null where not measurable.")
    words: str = Field(description="The value with its unit.")
    percentiles: dict[str, Place] = Field(
        description="By class; empty where the model has no measures of its training cells."
    )


class Explained(BaseModel):
    """The explanation of one prediction."""

    row: Row = Field(description="As /v1/predict returns for the cell.")
    called_at: float = Field(description="Probability from which the cell was called leukaemic.")
    layer: str = Field(
        description="The map as a PNG in base64 with clear places, to lay over the central square "
        "of the cell's box that the model sees (`facts.frame_px` of /v1/model): "
        f"{CLASS_COLOURS[LEUKAEMIC]} where the detail speaks for leukaemic, "
        f"{CLASS_COLOURS[NORMAL]} for normal. Not to be shown where `passes_check` is false."
    )
    limit: float = Field(description="Change of log odds, 1% of the cell covered, at full colour.")
    passes_check: bool = Field(
        description="Whether the map scores higher than every uninformed map, and has an effect."
    )
    check_words: str = Field(description="The check in words.")
    flat: str = Field(description="Prediction for the cell without its detail, in words.")
    check: Check
    measures: list[Measured]
    reference: str = Field(
        description="The cells that the percentiles are among, or why there are none, in words."
    )
    passes: int = Field(description="Number of forward passes.")
    seconds: float
    notice: str


class Line(BaseModel):
    """A line on the logit."""

    slope: float
    intercept: float


class Facts(BaseModel):
    """Facts that the page shows and computes with."""

    dataset: str = Field(description="Name of the training data set.")
    images: str = Field(description="What its images are, in words.")
    frame_px: int = Field(description="Side of the central square that the model sees, in pixels.")
    naming: str = Field(
        description="How names give the subject, in words; empty where they say nothing."
    )
    subject_line: Line | None = Field(
        description="From the mean logit of a subject's cells to the subject's; null if unknown."
    )
    min_cells: int = Field(description="Fewest cells of a subject for a call.")
    called_from: float = Field(description="A subject's probability from which it is leukaemic.")
    certain_from: float = Field(description="Probability of its class from which this is certain.")
    most_warned: float = Field(description="Share of cells with a warning that still allows it.")
    probability_floor: float = Field(description="Least distance from 0 and 1 before a logit.")
    confidence: float = Field(description="Of the Wilson intervals of shares.")
    wilson_z: float = Field(description="Normal quantile of these intervals.")
    coverage: float = Field(description="Share of new people's cells whose set has the true label.")
    sensitivity: float = Field(description="Share that the sensitive threshold is meant to find.")
    image_suffixes: list[str] = Field(description="Of files that are decoded, lower case.")
    simulated_file: str = Field(description="File that lies beside simulated cells.")
    simulated_banner: str = Field(description="Banner to show above simulated cells.")
    colours: dict[str, str] = Field(description="By class, in maps and figures: #rrggbb.")
    class_words: list[str] = Field(description="Folders that name a class, lower case.")


class Model(BaseModel):
    """The served model."""

    version: str = Field(description="Of leukoscope.")
    threshold: float
    sensitive_threshold: float
    expected: str | None
    notice: str
    metadata: dict[str, Any] = Field(description="All metadata of the model file.")
    facts: Facts = Field(description="Of the model, its data set and our rules, for a page.")
    limits: Limits = Field(description="What one request may hold.")


class Health(BaseModel):
    """The server runs, and its model is loaded."""

    status: Literal["ok"]


class Refusal(BaseModel):
    """Why a request was not served: one sentence."""

    detail: str


_WORDS = {
    400: "The form cannot be read.",
    401: "The token is missing or wrong.",
    403: "Request from a page of another site.",
    408: "The body arrived too slowly.",
    411: "The Content-Length header is missing.",
    413: "Too many bytes, images or files.",
    415: "Not a multipart form.",
    421: "The Host header is not a name of this server.",
    422: "No image, a damaged zip, or a wrong parameter.",
    503: "Busy; Retry-After says when to try again.",
}

ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": Refusal, "description": words} for status, words in _WORDS.items()
}


def _describe_body(files: dict[str, Any]) -> dict[str, Any]:
    """OpenAPI of a form with one field, which FastAPI cannot tell, as the body is read by us."""
    schema = {
        "type": "object",
        "anyOf": [{"required": [name]} for name in FIELDS],
        "additionalProperties": False,
        "properties": dict.fromkeys(FIELDS, files),
    }
    content = {"multipart/form-data": {"schema": schema}}
    return {"requestBody": {"required": True, "content": content}}


EXPLAIN_BODY = _describe_body(
    {"type": "string", "format": "binary", "description": "One image file; no zip."}
)

REQUEST_BODY = _describe_body(
    {
        "type": "array",
        "minItems": 1,
        "items": {"type": "string", "format": "binary"},
        "description": "Image files, or zips of them.",
    }
)
