"""Routes of the learning loop, under ``/nucleus/api/training`` (decision 0010)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Path, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from nucleus_app.domain.edits import MAX_ID
from nucleus_app.services.gallery import GalleryDesk
from nucleus_app.services.pixels import PyramidCache
from nucleus_app.services.training import TrainingDesk
from nucleus_app.services.workplace import Workplace
from nucleus_app.web.bodies import JsonRoute
from nucleus_app.web.caching import NO_STORE

RunId = Annotated[int, Path(ge=1, le=MAX_ID)]
MAX_GALLERY = 10_000


class Sent(BaseModel):
    reader: Annotated[str, Field(max_length=1000)] = ""


class SentRun(Sent):
    run: Annotated[int, Field(ge=1, le=MAX_ID)]


class SentVersion(Sent):
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


def create_training_router(
    workplace: Workplace, pyramids: PyramidCache, is_trainer_failing: Callable[[], bool]
) -> APIRouter:
    router = APIRouter(prefix="/nucleus/api/training", route_class=JsonRoute)
    desk, gallery = TrainingDesk(workplace, is_trainer_failing), GalleryDesk(workplace, pyramids)

    def after(change: Callable[[], object]) -> JSONResponse:
        change()
        return show()

    @router.get("")
    def show() -> JSONResponse:
        return JSONResponse(desk.read(), headers=NO_STORE)

    @router.post("/start")
    def start(sent: Sent) -> JSONResponse:
        return after(lambda: desk.start(sent.reader))

    @router.post("/cancel")
    def cancel(sent: SentRun) -> JSONResponse:
        return after(lambda: desk.cancel(sent.run, sent.reader))

    @router.post("/activate")
    def activate(sent: SentVersion) -> JSONResponse:
        return after(lambda: desk.activate(sent.sha256, sent.reader))

    @router.get("/runs/{run_id}")
    def run(run_id: RunId) -> JSONResponse:
        return JSONResponse(desk.read_run(run_id), headers=NO_STORE)

    @router.get("/runs/{run_id}/nuclei/{n}.png")
    def nucleus(run_id: RunId, n: Annotated[int, Path(ge=0, le=MAX_GALLERY)]) -> Response:
        return Response(gallery.draw(run_id, n), media_type="image/png", headers=NO_STORE)

    return router
