"""An HTTP server of predictions: an endpoint per task, to which images are uploaded.

Nothing that a request names is opened: an image is the bytes that are uploaded, and an option that is a path or the name of
something to load is taken only with the values of `_ALLOWED`.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import typing
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any, Literal

from fastapi import FastAPI, File, Form, Request, UploadFile
from fastapi.exceptions import RequestValidationError
from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from pydantic import AfterValidator, Field, TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, PlainTextResponse, Response

from diffperc.config.schema import documented_arguments
from diffperc.data.pipeline import check_elongation
from diffperc.deploy.answers import NPY, PNG, Health, Problem, answer, answer_model, wanted
from diffperc.deploy.gate import Gate, Limits, Metrics
from diffperc.errors import ConfigError, DataError, did_you_mean
from diffperc.inference.batching import Together, together
from diffperc.inference.images import decoded
from diffperc.inference.predictor import Predictor
from diffperc.version import __version__

_ALLOWED: dict[str, Any] = {"detector": Literal["heat"]}
_MOST = 100  # persons of an image
_IMAGE = "image"
_PROBLEMS = {
    400: "the form cannot be read",
    406: "none of the kinds of answers is accepted",
    408: "the upload took too long",
    413: "the upload has too many bytes",
    422: "the image or an option cannot be used",
    503: "too many requests wait, or the prediction took too long",
}


class Service:
    """Predicts uploads for one task, several at a time, while its context `running` is open.

    Args:
        predictor: of the task.
        limits: of images, time and number.
    """

    def __init__(self, predictor: Predictor, limits: Limits) -> None:
        self.predictor, self.limits = predictor, limits
        self._shared: Together
        self._callers: ThreadPoolExecutor

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Threads that predict, which finish at the end what they are doing."""
        with together(self.predictor, self.limits.wait) as self._shared:
            self._callers = ThreadPoolExecutor(self.limits.batch)
            try:
                yield
            finally:
                self._callers.shutdown(cancel_futures=True)

    async def answer(self, content: bytes, options: Mapping[str, Any], media: str) -> Response:
        """The result for an image in one of `answers.MEDIA`.

        Raises:
            DataError: the image cannot be used.
            ConfigError: an option cannot be used.
            HTTPException: 503, it took too long.
        """
        job = self._callers.submit(self._predicted, content, options, media)
        try:
            return await asyncio.wait_for(asyncio.wrap_future(job), self.limits.timeout)
        except TimeoutError:
            raise HTTPException(
                503, f"the prediction took more than {self.limits.timeout:g} s; try again later, or a smaller image."
            ) from None

    def _predicted(self, content: bytes, options: Mapping[str, Any], media: str) -> Response:
        pixels = decoded(content, _IMAGE, self.limits.max_pixels)
        check_elongation(_IMAGE, pixels)
        with self._shared.caller():
            result = self.predictor(pixels, **options)
        return answer(result, media)


def application(predictors: Mapping[str, Predictor], limits: Limits) -> FastAPI:
    """The server as an application of ASGI.

    Args:
        predictors: by the task, which is the name of the endpoint.
        limits: what is taken.
    """
    services = {task: Service(predictor, limits) for task, predictor in predictors.items()}

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        threads = contextlib.ExitStack()
        for service in services.values():
            threads.enter_context(service.running())
        yield
        await asyncio.to_thread(threads.close)

    # the pages of documentation load scripts of another host
    app = FastAPI(title="diffperc", version=__version__, docs_url=None, redoc_url=None, lifespan=lifespan)
    metrics = Metrics()
    for task, service in services.items():
        _add_endpoint(app, task, service)

    @app.get("/health")
    async def health() -> Health:
        """Whether the server answers."""
        return Health(version=__version__, tasks=list(services))

    @app.get("/metrics", response_class=PlainTextResponse)
    async def measured() -> Response:
        """Counts in the text format of Prometheus."""
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)

    known = {*(f"/{task}" for task in services), "/health", "/metrics", "/openapi.json"}
    app.add_middleware(Gate, known=known, limits=limits, metrics=metrics)
    app.add_exception_handler(RequestValidationError, _refused)
    app.add_exception_handler(DataError, _refused)
    app.add_exception_handler(ConfigError, _refused)
    app.add_exception_handler(404, _unknown)
    app.add_exception_handler(Exception, _failed)
    return app


def _add_endpoint(app: FastAPI, task: str, service: Service) -> None:
    kind = service.predictor.result
    binary = {"schema": {"type": "string", "format": "binary"}}
    responses: dict[int | str, dict[str, Any]] = {
        status: {"model": Problem, "description": what} for status, what in _PROBLEMS.items()
    }
    responses[200] = {"description": "the result", "content": {PNG: binary, NPY: binary}}
    app.post(
        f"/{task}",
        response_model=answer_model(kind),
        responses=responses,
        operation_id=task,
        summary=f"Predict {task} of an uploaded image",
    )(_endpoint(service))


def _endpoint(service: Service) -> Callable[..., Awaitable[Response]]:
    """The function of an endpoint, whose parameters are the image and the options of the predictor."""
    fields = _fields(service.predictor)

    async def predict(request: Request, image: UploadFile, **options: Any) -> Response:
        media = wanted(",".join(request.headers.getlist("accept")))
        names = [name for name, _ in (await request.form()).multi_items()]
        for name in names:
            if name != _IMAGE and name not in fields:
                raise ConfigError(f"{name}: there is no such field{did_you_mean(name, [_IMAGE, *fields])}")
            if names.count(name) > 1:
                raise ConfigError(f"{name}: is given {names.count(name)} times; give it once.")
        given = {name: value for name, value in options.items() if value is not None}
        for name, value in given.items():
            if isinstance(value, list) and len(value) > _MOST:
                raise ConfigError(f"{name}: has {len(value)} entries, more than {_MOST}; send several requests.")
        return await service.answer(await image.read(), given, media)

    by_name = inspect.Parameter.KEYWORD_ONLY
    parameters = [
        inspect.Parameter("request", by_name, annotation=Request),
        inspect.Parameter(_IMAGE, by_name, annotation=Annotated[UploadFile, File(description="an image file")]),
        *(inspect.Parameter(name, by_name, default=None, annotation=kind) for name, kind in fields.items()),
    ]
    predict.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return predict


def _fields(predictor: Predictor) -> dict[str, Any]:
    """The annotation of the form's field for each option of a predictor; what is no simple value is json."""
    hints = typing.get_type_hints(type(predictor).predict)
    sentences = dict(documented_arguments(inspect.getdoc(type(predictor).predict) or ""))
    fields = {}
    for name in predictor.options:
        (kind,) = (option for option in typing.get_args(hints[name]) if option is not type(None))
        kind = _ALLOWED.get(name, kind if kind in (str, bool, int, float) else _as_json(kind))
        fields[name] = Annotated[kind | None, Form(description=sentences.get(name))]
    return fields


def _as_json(kind: Any) -> Any:
    """A field of text that is json of a value of some kind."""
    adapter = TypeAdapter(kind)

    def parsed(text: str) -> Any:
        try:
            return adapter.validate_json(text)
        except ValidationError as error:
            raise PydanticCustomError("json", "must be json, as described in /openapi.json", {}) from error

    return Annotated[str, AfterValidator(parsed), Field(json_schema_extra={"contentMediaType": "application/json"})]


async def _refused(request: Request, error: Exception) -> Response:
    """A sentence about an image or an option that cannot be used."""
    if not isinstance(error, RequestValidationError):
        return JSONResponse({"detail": str(error)}, 422)
    first = error.errors()[0]
    name = str(first["loc"][-1])
    if name == _IMAGE:
        sentence = "image: must be an uploaded file, such as that of: curl -F image=@photo.jpg"
    else:
        sentence = f"{name}: {first['msg'][:1].lower()}{first['msg'][1:]}, found {str(first['input'])[:80]!r}."
    return JSONResponse({"detail": sentence}, 422)


async def _unknown(request: Request, error: Exception) -> Response:
    return JSONResponse({"detail": f"there is no {request.url.path} here; /openapi.json lists what there is."}, 404)


async def _failed(request: Request, error: Exception) -> Response:
    """What is no fault of the request; the server's log has the error."""
    return JSONResponse({"detail": f"{request.url.path}: failed; the log of the server says why."}, 500)
