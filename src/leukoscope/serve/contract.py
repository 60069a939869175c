"""What the answers of the API hold."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from leukoscope.serve.upload import FIELD

__all__ = ["ERRORS", "REQUEST_BODY", "Answers", "Health", "Model", "Row"]


class Row(BaseModel):
    """One image."""

    image: str = Field(description="Its name; within a zip, its path there.")
    probability: float | None = Field(
        ge=0, le=1, description="Of leukaemic; null where the image could not be read."
    )
    call: Literal["leukaemic", "normal", "error"]
    sure_call: Literal["leukaemic", "normal", "uncertain", "error"] = Field(
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

REQUEST_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": [FIELD],
                    "additionalProperties": False,
                    "properties": {
                        FIELD: {
                            "type": "array",
                            "minItems": 1,
                            "items": {"type": "string", "format": "binary"},
                            "description": "Image files, or zips of them.",
                        }
                    },
                }
            }
        },
    }
}
