"""Reading a request's JSON body: no larger than allowed, and strictly JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from typing import Any, NoReturn

from fastapi import HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute

MAX_BODY_BYTES = 4 * 1024 * 1024


Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class SentenceRoute(APIRoute):
    """A route that says in one sentence what is wrong with a request."""

    def get_route_handler(self) -> Handler:
        handle = super().get_route_handler()

        async def explained(request: Request) -> Response:
            try:
                return await handle(request)
            except RequestValidationError as error:
                first = error.errors()[0]
                where = ".".join(str(part) for part in first["loc"][1:])
                raise HTTPException(422, f"{where or 'the body'}: {first['msg']}.") from error

        return explained


class JsonRoute(SentenceRoute):
    """One whose body FastAPI parses: no larger than allowed, and declared as JSON."""

    def get_route_handler(self) -> Handler:
        handle = super().get_route_handler()

        async def guarded(request: Request) -> Response:
            if request.method in ("POST", "PUT"):
                parse_body(await _keep_body(request))
            return await handle(request)

        return guarded


async def _keep_body(request: Request) -> bytes:
    request._body = await read_body(request, advice="send less text")  # where Starlette looks for a body that was read
    return request._body


async def read_body(
    request: Request, longest: int = MAX_BODY_BYTES, advice: str = "send fewer edits at a time"
) -> bytes:
    """The body, given up as soon as it is too long. Raises HTTPException: 415 unless it is declared as JSON (a page of
    another site could send plain text without asking first), 413 with the advice when it is too long.
    """
    declared = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if declared != "application/json":
        raise HTTPException(415, "The Content-Type is not application/json: send JSON and say so.")
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > longest:
            raise HTTPException(413, f"The body is over {longest // 1024**2} MB: {advice}.")
    return bytes(body)


def parse_body(body: bytes) -> object:
    """Bytes as JSON types. Raises HTTPException 422 for what is no JSON; NaN and Infinity are none."""
    try:
        parsed: object = json.loads(body, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise HTTPException(422, "The body is no JSON (NaN and Infinity are none): send an object.") from error
    return parsed


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")
