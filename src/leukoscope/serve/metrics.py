"""Metrics for Prometheus: counts and times, nothing of an image or its name."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from leukoscope.inference.stream import Answer

__all__ = ["Metrics"]

_PLACES = (
    "/v1/predict",
    "/v1/explain",
    "/v1/model",
    "/v1/samples.zip",
    "/healthz",
    "/metrics",
    "/",
)


class Metrics:
    """One application's counters."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "leukoscope_requests", "Requests.", ("path", "status"), registry=self._registry
        )
        self._seconds = Histogram(
            "leukoscope_request_seconds",
            "Seconds from a request's first byte to its response's last.",
            ("path",),
            registry=self._registry,
        )
        self._images = Counter(
            "leukoscope_images",
            "Cells predicted; an image without one counts once.",
            ("call",),
            registry=self._registry,
        )
        self._batches = Histogram(
            "leukoscope_batch_crops",
            "Crops in one forward pass.",
            buckets=(1, 2, 4, 8, 16, 32, 64),
            registry=self._registry,
        )

    def watch_inside(self, read: Callable[[], float]) -> None:
        """Report the requests that are being received or answered."""
        gauge = Gauge(
            "leukoscope_requests_inside",
            "Requests to /v1/predict being received or answered.",
            registry=self._registry,
        )
        gauge.set_function(read)

    def count_request(self, path: str, status: int, seconds: float) -> None:
        """One answered request; unknown paths are counted together."""
        place = path if path in _PLACES else "other"
        self._requests.labels(place, str(status)).inc()
        self._seconds.labels(place).observe(seconds)

    def count_batch(self, crops: int) -> None:
        """One forward pass."""
        self._batches.observe(crops)

    def count_answers(self, answers: Iterable[Answer]) -> None:
        """The rows of one request."""
        for answer in answers:
            self._images.labels(answer.call).inc()

    def write(self) -> bytes:
        """Text in Prometheus's exposition format."""
        return generate_latest(self._registry)
