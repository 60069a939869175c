"""The application and its routes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, nullcontext
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import Depends, FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, JSONResponse
from starlette.staticfiles import StaticFiles

from leukoscope import __version__
from leukoscope.inference.decision import SENSITIVITY
from leukoscope.inference.model import Classifier
from leukoscope.inference.stream import Answered, predict_by_image
from leukoscope.notices import RESEARCH_ONLY
from leukoscope.registry import suggest
from leukoscope.serve.access import Proxy
from leukoscope.serve.contract import (
    ERRORS,
    EXPLAIN_BODY,
    REQUEST_BODY,
    Answers,
    Explained,
    Health,
    Model,
    build_row,
)
from leukoscope.serve.explaining import Explainer
from leukoscope.serve.facts import collect_facts
from leukoscope.serve.guard import Guard, refuse
from leukoscope.serve.limits import Limits, RefusedError, UploadedFile, list_uploaded, take_single
from leukoscope.serve.memory import give_memory_back
from leukoscope.serve.metrics import Metrics
from leukoscope.serve.queue import Batcher, Gate
from leukoscope.serve.samples import draw_samples, find_samples_model
from leukoscope.serve.upload import check_length, read_upload

__all__ = ["build_app"]

_DEFAULT = Limits()
_NO_PROXY = Proxy()
_FOUND = f"{SENSITIVITY:.0%}"
_REST_SECONDS = 2.0  # between looks whether memory can be given back
_REQUEST_THREADS = 16  # requests whose images are decoded at once; the others wait


def build_app(
    classifier: Classifier,
    limits: Limits = _DEFAULT,
    *,
    token: str | None = None,
    loopback: bool = True,
    proxy: Proxy = _NO_PROXY,
) -> FastAPI:
    """Build the application around one model.

    Args:
        classifier: the network.
        limits: of requests.
        token: required at /v1 and /metrics; by default none is.
        loopback: whether only names of this machine are accepted as Host.
        proxy: further names, and the prefix of all paths.
    """
    metrics = Metrics()
    gate = Gate(limits)
    metrics.watch_inside(lambda: gate.inside)
    samples = _build_api(Classifier(find_samples_model()), limits, gate, metrics)
    app = _build_api(classifier, limits, gate, metrics, samples)
    app.add_middleware(Guard, metrics=metrics, token=token, loopback=loopback, proxy=proxy)
    _add_samples(app)
    app.mount("/v1/samples", samples)  # for the page: the same API of the network of the samples
    _add_watching(app, metrics)
    _add_page(app)
    return app


def _build_api(
    classifier: Classifier,
    limits: Limits,
    gate: Gate,
    metrics: Metrics,
    beside: FastAPI | None = None,
) -> FastAPI:
    """The API of one model; `beside` begins and ends with it."""

    @asynccontextmanager
    async def live(app: FastAPI) -> AsyncIterator[None]:
        app.state.batcher = Batcher(classifier, metrics.count_batch)
        app.state.explainer = Explainer(app.state.batcher, limits)
        app.state.pool = ThreadPoolExecutor(_REQUEST_THREADS, thread_name_prefix="request")
        resting = asyncio.create_task(rest(classifier, (gate, app.state.explainer.gate)))
        async with beside.router.lifespan_context(beside) if beside else nullcontext():
            yield
        resting.cancel()
        app.state.explainer.close()
        app.state.pool.shutdown(cancel_futures=True)
        app.state.batcher.close()

    app = FastAPI(
        title="Leukoscope",
        version=__version__,
        description=f"Leukaemic or normal? Predictions for single-cell images. {RESEARCH_ONLY}",
        lifespan=live,
        dependencies=[Depends(check_query)],
        redirect_slashes=False,  # an address of ours has one form, and a redirect names no proxy
        docs_url=None,  # its pages load their scripts from elsewhere; we have one of our own
        redoc_url=None,
    )
    _handle_errors(app)
    _add_predict(app, classifier, limits, gate, metrics)
    _add_explain(app, classifier)
    _add_model(app, classifier, limits)
    return app


def _handle_errors(app: FastAPI) -> None:
    """Every error is one sentence under `detail`."""

    async def answer_refused(_: Request, error: Exception) -> Response:
        assert isinstance(error, RefusedError)
        return refuse(error)

    async def answer_invalid(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        return JSONResponse({"detail": f"{place}: {first['msg']}."}, 422)

    async def answer_missing(_: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        headers = dict(error.headers or {})
        return JSONResponse({"detail": f"{error.detail}."}, error.status_code, headers)

    app.add_exception_handler(RefusedError, answer_refused)
    app.add_exception_handler(RequestValidationError, answer_invalid)
    app.add_exception_handler(HTTPException, answer_missing)


def _add_predict(
    app: FastAPI, classifier: Classifier, limits: Limits, gate: Gate, metrics: Metrics
) -> None:
    def answer(batcher: Batcher, files: list[UploadedFile], threshold: float) -> list[Answered]:
        images = predict_by_image(list_uploaded(files, limits), batcher, threshold)
        return [answered for image in images for answered in image]

    @app.post(
        "/v1/predict",
        response_model=Answers,
        responses=ERRORS,
        openapi_extra=REQUEST_BODY,
        summary="Predict images",
    )
    async def predict(
        request: Request,
        operating_point: Annotated[
            Literal["balanced", "sensitive"],
            Query(
                description=f"Threshold of the call; sensitive is meant to find {_FOUND} of the "
                "leukaemic cells."
            ),
        ] = "balanced",
        sensitive: Annotated[
            bool,
            Query(deprecated=True, description="Old name of operating_point=sensitive."),
        ] = False,
    ) -> Answers:
        """One row a cell, the numbers of `leukoscope predict`. Nothing sent is kept."""
        if {"operating_point", "sensitive"} <= set(request.query_params):
            raise RefusedError(422, "query.sensitive: the old name of operating_point. Give one.")
        length = check_length(request.headers, limits)
        chosen = operating_point == "sensitive" or sensitive
        threshold = classifier.sensitive_threshold if chosen else classifier.threshold
        async with gate.enter(read_client(request), length) as place:
            files = await read_upload(request, limits, gate, place)
            answered = await asyncio.get_running_loop().run_in_executor(
                app.state.pool, answer, app.state.batcher, files, threshold
            )
        metrics.count_answers(answer for answer, _ in answered)
        return Answers(
            rows=[build_row(answer, cell) for answer, cell in answered],
            called_at=threshold,
            threshold=classifier.threshold,
            sensitive_threshold=classifier.sensitive_threshold,
            expected=_find_words(classifier),
            notice=RESEARCH_ONLY,
        )


def _add_explain(app: FastAPI, classifier: Classifier) -> None:
    @app.post(
        "/v1/explain",
        response_model=Explained,
        responses=ERRORS,
        openapi_extra=EXPLAIN_BODY,
        summary="Explain one prediction",
    )
    async def explain(
        request: Request,
        threshold: Annotated[
            float | None,
            Query(ge=0, le=1, description="Leukaemic from here on. Default: the model's own."),
        ] = None,
        cell: Annotated[
            str,
            Query(
                description="Name of the cell, the field cell of its row, if the image has several."
            ),
        ] = "",
    ) -> Explained:
        """One cell: a map with its check, and measures, the numbers of `leukoscope explain`."""
        explainer: Explainer = app.state.explainer
        length = check_length(request.headers, explainer.limits)
        called_at = classifier.threshold if threshold is None else threshold
        gate = explainer.gate
        async with gate.enter(read_client(request), length) as place:
            file = take_single(await read_upload(request, explainer.limits, gate, place))
            return await explainer.explain(request, file, cell, called_at)


def _add_model(app: FastAPI, classifier: Classifier, limits: Limits) -> None:
    facts = collect_facts(classifier.metadata)
    errors: dict[int | str, dict[str, Any]] = {code: ERRORS[code] for code in (401, 403, 421)}

    @app.get("/v1/model", response_model=Model, responses=errors, summary="Describe the model")
    async def describe_model() -> Model:
        """Thresholds, expected performance on new people, facts, and the limits of a request."""
        return Model(
            version=__version__,
            threshold=classifier.threshold,
            sensitive_threshold=classifier.sensitive_threshold,
            expected=_find_words(classifier),
            notice=RESEARCH_ONLY,
            metadata=classifier.metadata.to_dict(),
            facts=facts,
            limits=limits,
        )


def _add_samples(app: FastAPI) -> None:
    errors: dict[int | str, dict[str, Any]] = {code: ERRORS[code] for code in (401, 403, 421)}

    @app.get(
        "/v1/samples.zip",
        response_class=Response,
        responses=errors | {200: {"content": {"application/zip": {}}}},
        summary="Simulated cells to try",
    )
    def read_samples() -> Response:
        """A zip of 150 cells drawn by the simulator; no person's."""
        return Response(draw_samples(), media_type="application/zip")


def _add_watching(app: FastAPI, metrics: Metrics) -> None:
    errors: dict[int | str, dict[str, Any]] = {code: ERRORS[code] for code in (401, 403, 421)}

    @app.get("/healthz", response_model=Health, responses={421: ERRORS[421]}, summary="Alive?")
    async def check_health() -> Health:
        """Responds once the model is loaded."""
        return Health(status="ok")

    @app.get(
        "/metrics",
        response_class=Response,
        responses=errors | {200: {"content": {"text/plain": {}}}},
        summary="Counts and times for Prometheus",
    )
    async def read_metrics() -> Response:
        """Prometheus text: counts and times, nothing of an image or its name."""
        return Response(metrics.write(), media_type="text/plain; version=0.0.4; charset=utf-8")


def _add_page(app: FastAPI) -> None:
    folder = Path(str(resources.files("leukoscope.serve") / "page"))

    async def show_page(_: Request) -> FileResponse:
        return FileResponse(folder / "index.html")

    async def show_api(_: Request) -> FileResponse:
        return FileResponse(folder / "api.html")

    app.add_route("/", show_page, include_in_schema=False)
    app.add_route("/docs", show_api, include_in_schema=False)
    app.mount("/page", StaticFiles(directory=folder))


async def rest(classifier: Classifier, gates: Sequence[Gate]) -> None:
    """Give memory back whenever the last of several requests has been answered."""
    before = 0
    while True:
        await asyncio.sleep(_REST_SECONDS)
        answered = sum(gate.answered for gate in gates)
        if answered != before and not any(gate.inside for gate in gates):
            before = answered
            await asyncio.to_thread(classifier.give_memory_back)
            await asyncio.to_thread(give_memory_back)


def read_client(request: Request) -> str:
    """Address of the client, behind proxies on this machine too (`running.run_server`)."""
    return request.client.host if request.client else ""


def check_query(request: Request) -> None:
    """Refuse query parameters that a route would pass over, such as misspelt ones.

    Raises:
        RefusedError: one that is unknown, or given twice.
    """
    route = request.scope["route"]
    assert isinstance(route, APIRoute)
    known = [parameter.alias for parameter in route.dependant.query_params]
    names = [name for name, _ in request.query_params.multi_items()]
    for name in names:
        if name not in known or names.count(name) > 1:
            fault = "given twice" if name in known else "unknown"
            expected = f"{' or '.join(known)}, once" if known else "no parameter"
            raise RefusedError(
                422,
                f"query.{name[:60]}: {fault}. Expected {expected}.{suggest(name, known)}",
            )


def _find_words(classifier: Classifier) -> str | None:
    expected = classifier.metadata.expected
    return expected.words if expected else None
