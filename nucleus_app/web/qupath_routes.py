"""Routes that import annotations from QuPath (decision 0009)."""

from __future__ import annotations

import json
import re
import threading
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Path, Request
from fastapi.responses import JSONResponse
from pydantic_core import from_json
from starlette.concurrency import run_in_threadpool

from nucleus_app.domain.edits import MAX_ID
from nucleus_app.domain.qupath import MAX_BYTES
from nucleus_app.services.qupath import IMPORT_AUTHOR, import_annotations, list_classes
from nucleus_app.services.workplace import Workplace
from nucleus_app.web.bodies import SentenceRoute, read_body
from nucleus_app.web.caching import NO_STORE

MAX_BODY_BYTES = MAX_BYTES + MAX_BYTES // 4
"""A file within a JSON text has a backslash more for every quotation mark and line."""
ADVICE = "export points, or cells without measurements, or fewer objects at a time"
FORM = 'The body is not of the form {"geojson": text of the file, "mapping": {class: target}, "reader": name}'
ImageId = Annotated[int, Path(ge=1, le=MAX_ID)]
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


def create_qupath_router(workplace: Workplace) -> APIRouter:
    router = APIRouter(prefix="/nucleus/api/images/{image_id}/qupath", route_class=SentenceRoute)
    one_at_a_time = threading.Lock()  # a parsed file takes many times its size of memory

    @router.post("/classes")
    async def classes(image_id: ImageId, request: Request) -> JSONResponse:
        body = await read_body(request, MAX_BYTES, ADVICE)

        def work() -> JSONResponse:
            with one_at_a_time:
                found = list_classes(workplace, image_id, body)
            listed = [{"name": c.name, "points": c.points, "areas": c.areas, "guess": c.guess} for c in found.classes]
            said = {"classes": listed, "notes": list(found.notes), "on_slide": found.on_slide}
            return JSONResponse(said, headers=NO_STORE)

        return await run_in_threadpool(work)

    @router.post("")
    async def take_in(image_id: ImageId, request: Request) -> JSONResponse:
        body = await read_body(request, MAX_BODY_BYTES, ADVICE)

        def work() -> JSONResponse:
            with one_at_a_time:
                made = import_annotations(workplace, image_id, **_parse(body))
            return JSONResponse({"scoring": made.scoring_id, "notes": list(made.notes)}, headers=NO_STORE)

        return await run_in_threadpool(work)

    return router


def _parse(body: bytes) -> dict[str, Any]:
    """The arguments of an import but for its image. The file is best sent as the text that it is: then its SHA-256 is the file's, and
    measurements that are NaN, which QuPath writes and JSON has not, do no harm. Raises HTTPException.
    """
    try:
        sent = from_json(body)
    except (ValueError, RecursionError) as error:
        raise HTTPException(422, f"{FORM}, but no JSON: {error}.") from error
    geojson = sent.get("geojson") if isinstance(sent, dict) else None
    if not isinstance(geojson, str | dict | list):
        raise HTTPException(422, f"{FORM}: there is no geojson.")
    reader, author, on_slide = sent.get("reader", ""), sent.get("author", IMPORT_AUTHOR), sent.get("on_slide", False)
    if not isinstance(reader, str) or not isinstance(author, str) or not _NAME.fullmatch(author):
        raise HTTPException(422, f"{FORM}: the reader is a name, and an author 1 to 64 letters, digits, '-' and '_'.")
    if not isinstance(on_slide, bool):
        raise HTTPException(422, f"{FORM}: on_slide is true or false.")
    text = geojson if isinstance(geojson, str) else json.dumps(geojson, ensure_ascii=False, separators=(",", ":"))
    return {
        "data": text.encode(), "mapping": sent.get("mapping"), "reader": reader, "author": author, "on_slide": on_slide,
    }  # fmt: skip
