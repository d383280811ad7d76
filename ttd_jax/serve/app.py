"""The service: ``POST /fuse`` with files and options, and what those who run it want to know of it."""

import asyncio
import json
import shutil
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from fastapi_offline import FastAPIOffline
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from ttd_jax import __version__
from ttd_jax.errors import InputError
from ttd_jax.serve.files import place_for, without_paths
from ttd_jax.serve.guard import Guard
from ttd_jax.serve.job import MEDIA, Answered, answer
from ttd_jax.serve.telemetry import MEDIA_TYPE, Telemetry
from ttd_jax.serve.wanted import NAMES, read_wanted, schema
from ttd_jax.serve.work import Full, Place, Work

SOURCES = "sources"
"""The field of sources without roles; any other field that holds a file is a role."""

_LONGEST_OPTION = 4096  # bytes

_DESCRIPTION = """Several registered images of one scene in, one image out.

    curl -F sources=@near.png -F sources=@far.png localhost:8000/fuse -o fused.png
    curl -F visible=@day.png -F infrared=@thermal.tif -F answer=archive localhost:8000/fuse -o fused.zip
"""

_REFUSALS = {
    400: "The body is no multipart form.",
    408: "The request did not arrive in time.",
    413: "The request is too large.",
    422: "Sources or options cannot be used.",
    429: "Too many requests from this address.",
    503: "As many fusions wait as may; come back after `Retry-After` seconds.",
    504: "The fusion took longer than the limit.",
}


def create_api(work: Work, telemetry: Telemetry) -> FastAPI:
    """The service, which a ``Guard`` should stand before.

    Args:
        work: What fuses; whoever made it closes it.
        telemetry: What counts.
    """
    app = FastAPIOffline(title="ttd-jax", version=__version__, description=_DESCRIPTION, redoc_url=None)
    app.add_exception_handler(HTTPException, _told)
    app.add_exception_handler(Exception, _failed)

    @app.post("/fuse", response_class=Response, responses=_responses(), openapi_extra={"requestBody": _request_body()})
    async def fuse(request: Request) -> Response:
        """Fuses the images of a form."""
        return await _fuse(work, telemetry, request)

    @app.get("/health")
    async def health() -> dict[str, Any]:
        """Says that it runs, and what it has."""
        return _facts(work)

    @app.get("/metrics", response_class=Response)
    async def metrics() -> Response:
        """Numbers for Prometheus."""
        return Response(telemetry.text(), media_type=MEDIA_TYPE)

    return app


def create_app(work: Work) -> Guard:
    """The service as an ASGI application: ``create_api`` behind a ``Guard``.

    Args:
        work: What fuses; whoever made it closes it.
    """
    telemetry = Telemetry(work)
    return Guard(create_api(work, telemetry), limits=work.limits, tell=telemetry.answered)


async def _fuse(work: Work, telemetry: Telemetry, request: Request) -> Response:
    try:
        place = work.admit()
    except Full:
        return _error(503, "as many fusions wait as may: try again in half a minute", {"retry-after": "30"})
    held, until = True, time.monotonic() + work.limits.seconds
    try:
        async with request.form(  # not longer than that either, by the Guard
            max_files=work.limits.files, max_fields=2 * len(NAMES), max_part_size=_LONGEST_OPTION
        ) as form:
            job = await run_in_threadpool(_job, work, place, form)
        async with asyncio.timeout(max(until - time.monotonic(), 0)):
            future = work.start(place, job)
            held = False
            answered = await asyncio.wrap_future(future)
    except TimeoutError:
        return _error(504, f"this took longer than {work.limits.seconds} seconds: send smaller images")
    except InputError as error:
        return _error(422, without_paths(str(error), place.folder))
    except ClientDisconnect:
        return Response(status_code=499)  # read by nobody
    finally:
        if held:
            place.leave()
    telemetry.took(answered.seconds)
    return _response(answered)


def _job(work: Work, place: Place, form: FormData) -> Any:
    """What is to be done for a form, its files saved."""
    texts: dict[str, str] = {}
    roles: list[str | None] = []
    paths: list[Path] = []
    for name, value in form.multi_items():
        if isinstance(value, UploadFile):
            path = place_for(place.folder, len(paths), value.filename)
            with path.open("wb") as file:
                shutil.copyfileobj(value.file, file)
            roles.append(None if name == SOURCES else name)
            paths.append(path)
        elif name in texts:
            raise InputError(f"every option comes once; {name[:40]} comes twice")
        else:
            texts[name] = value
    return partial(answer, work, roles, paths, read_wanted(texts), place.folder)


def _response(answered: Answered) -> Response:
    timing = ", ".join(f"{step};dur={1000 * value:.1f}" for step, value in answered.seconds.items())
    headers = {
        "content-disposition": f'inline; filename="fused.{answered.ending}"',
        "server-timing": timing,
        "x-remarks": json.dumps([without_paths(r, Path("/")) for r in answered.report["remarks"]])[:4000],
    }
    return Response(answered.content, media_type=MEDIA[answered.ending], headers=headers)


def _facts(work: Work) -> dict[str, Any]:
    shown = ("megabytes", "files", "megapixels", "seconds", "rate")
    return {
        "status": "ok",
        "version": __version__,
        "admitted": work.admitted,
        "backbones": {name: [*backbone.recipes] for name, backbone in work.backbones.items()},
        "limits": {name: getattr(work.limits, name) for name in shown},
    }


def _error(status: int, error: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"error": error}, status, dict(headers or {}))


async def _told(request: Request, error: Any) -> JSONResponse:
    return _error(error.status_code, str(error.detail), error.headers)


async def _failed(request: Request, error: Exception) -> JSONResponse:
    return _error(500, "something went wrong here, which the log of the service tells more of")


def _request_body() -> dict[str, Any]:
    file = {"type": "string", "format": "binary"}
    sources = {
        "type": "array",
        "items": file,
        "description": "two images or more, the reference first; or one field a role, such as visible and infrared",
    }
    return {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {SOURCES: sources, **schema()},
                    "additionalProperties": file,
                }
            }
        },
    }


def _responses() -> dict[int | str, Any]:
    error = {"type": "object", "properties": {"error": {"type": "string"}}}
    binary = {"schema": {"type": "string", "format": "binary"}}
    found: dict[int | str, Any] = {
        200: {"description": "The image, or an archive.", "content": dict.fromkeys(MEDIA.values(), binary)}
    }
    for status, meaning in _REFUSALS.items():
        found[status] = {"description": meaning, "content": {"application/json": {"schema": error}}}
    return found
