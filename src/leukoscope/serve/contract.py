"""What the answers of the API hold."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from leukoscope.serve.upload import FIELD

__all__ = [
    "ERRORS",
    "EXPLAIN_BODY",
    "REQUEST_BODY",
    "Answers",
    "Check",
    "Explained",
    "Health",
    "Measured",
    "Model",
    "Place",
    "Row",
]


class Row(BaseModel):
    """One image."""

    image: str = Field(description="Its name; within a zip, its path there.")
    probability: float | None = Field(
        ge=0,
        le=1,
        description="Of leukaemic; null where the image could not be read, or is no cell.",
    )
    call: Literal["leukaemic", "normal", "error"]
    conformal_call: Literal["leukaemic", "normal", "uncertain", "error"] = Field(
        description="Leukaemic or normal where the other is ruled out and nothing warns."
    )
    warnings: str = Field(
        description="What speaks against trusting the answer, or the error; parted by '; '."
    )


class Answers(BaseModel):
    """Answers for one request, in its order; the images of a zip are sorted by name."""

    rows: list[Row]
    called_at: float = Field(description="Probability from which a cell was called leukaemic.")
    threshold: float = Field(description="The model's own.")
    sensitive_threshold: float = Field(description="The one meant to find 95% of leukaemic cells.")
    expected: str | None = Field(description="What to expect of the model on new people.")
    notice: str


class Check(BaseModel):
    """Deletion and insertion: whether the map knows more than maps that know nothing."""

    score: float = Field(description="Area under insertion minus that under deletion, -1 to 1.")
    random_best: float = Field(description="The highest score of a random map.")
    blob_score: float = Field(description="Of a blob that takes the cell's centre first.")
    rim_score: float = Field(description="Of its opposite.")
    deletion: float = Field(description="Area under the called class's probability, 0 to 1.")
    insertion: float
    flat_probability: float = Field(description="Of leukaemic, all detail blurred away.")


class Place(BaseModel):
    """Where a value stands among a class's cells."""

    value: float | None = Field(description="Percentile, 0 to 100; null where it can't be told.")
    words: str


class Measured(BaseModel):
    """One measure of the cell."""

    name: str
    title: str
    unit: str
    value: float | None = Field(description="Null where it can't be told.")
    words: str = Field(description="The value with its unit.")
    percentiles: dict[str, Place] = Field(description="By class.")


class Explained(BaseModel):
    """What one answer rests on."""

    row: Row = Field(description="As /v1/predict answers for the image.")
    called_at: float = Field(description="Probability from which the cell was called leukaemic.")
    layer: str = Field(
        description="The map as a PNG in base64, 225×225 pixels with clear places, to lay over the "
        "central 450×450 of the image: #D55E00 where the detail speaks for leukaemic, #0072B2 for "
        "normal. Not to be shown where it is not believed."
    )
    limit: float = Field(description="Change of log odds, 1% of the cell covered, at full colour.")
    believed: bool = Field(description="Whether the map beats every map that knows nothing.")
    verdict: str = Field(description="The check in words.")
    flat: str = Field(description="What the network says of the cell without its detail, in words.")
    check: Check
    measures: list[Measured]
    reference: str = Field(description="The cells that the percentiles are among.")
    passes: int = Field(description="Times that the network was asked.")
    seconds: float
    notice: str


class Model(BaseModel):
    """The model that answers."""

    version: str = Field(description="Of leukoscope.")
    threshold: float
    sensitive_threshold: float
    expected: str | None
    notice: str
    metadata: dict[str, Any] = Field(description="All that the model file says of itself.")
    limits: dict[str, float] = Field(description="What one request may hold.")


class Health(BaseModel):
    """The server runs, and its model is loaded."""

    status: Literal["ok"]


class Refusal(BaseModel):
    """Why a request was not served: one sentence."""

    detail: str


_WORDS = {
    400: "The form cannot be read.",
    401: "The token is missing or wrong.",
    403: "Asked by a page of another site.",
    408: "The body came too slowly.",
    411: "The length of the body is not said.",
    413: "Too many bytes, images or files.",
    415: "Not a multipart form.",
    421: "Asked under a name that is not this machine's.",
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
        "required": [FIELD],
        "additionalProperties": False,
        "properties": {FIELD: files},
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
