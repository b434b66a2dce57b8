"""Routes of cases, under ``/nucleus/api/cases`` (decision 0009)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Path, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from nucleus_app.domain.edits import MAX_ID
from nucleus_app.domain.sheet import MAX_FIELDS
from nucleus_app.services.case_states import state_to_mapping
from nucleus_app.services.casework import CaseDesk
from nucleus_app.services.downloads import CaseWriter, Download, write_geojson
from nucleus_app.services.removal import delete_removed, put_back, remove_image
from nucleus_app.services.sheets import move_images, save_sheet, split_image
from nucleus_app.services.signing import reopen, sign_off
from nucleus_app.services.workplace import Workplace
from nucleus_app.web.bodies import JsonRoute
from nucleus_app.web.caching import NO_STORE

CaseId = Annotated[int, Path(ge=1, le=MAX_ID)]
Rev = Annotated[int, Field(ge=1, le=MAX_ID)]
Reader = Annotated[str, Field(max_length=1000)]


class Sent(BaseModel):
    reader: Reader = ""


class SentSheet(Sent):
    rev: Rev
    sheet: dict[str, Any]


class SentImages(Sent):
    rev: Rev
    images: Annotated[list[Annotated[int, Field(ge=1, le=MAX_ID)]], Field(min_length=1, max_length=MAX_FIELDS)]


class SentRemoved(Sent):
    image: Annotated[int, Field(ge=1, le=MAX_ID)]


class SentImage(SentRemoved):
    rev: Rev


class SentSignature(Sent):
    digest: Annotated[str, Field(max_length=64)]


class SentReopening(Sent):
    reason: Annotated[str, Field(max_length=10_000)]


def create_case_router(workplace: Workplace, desk: CaseDesk) -> APIRouter:
    router = APIRouter(prefix="/nucleus/api/cases/{case_id}", route_class=JsonRoute)
    writer = CaseWriter(workplace, desk)

    def show(case_id: int) -> JSONResponse:
        view = desk.view(case_id)
        return JSONResponse(state_to_mapping(view, desk.summarise(view)), headers=NO_STORE)

    def after(case_id: int, change: Callable[[], object]) -> JSONResponse:
        change()
        return show(case_id)

    @router.get("")
    def case(case_id: CaseId) -> JSONResponse:
        return show(case_id)

    @router.put("")
    def save(case_id: CaseId, sent: SentSheet) -> JSONResponse:
        return after(case_id, lambda: save_sheet(workplace, case_id, sent.rev, sent.reader, sent.sheet))

    @router.post("/images")
    def add_images(case_id: CaseId, sent: SentImages) -> JSONResponse:
        return after(case_id, lambda: move_images(workplace, case_id, sent.rev, sent.reader, sent.images))

    @router.post("/split")
    def split(case_id: CaseId, sent: SentImage) -> JSONResponse:
        return after(case_id, lambda: split_image(workplace, case_id, sent.rev, sent.reader, sent.image))

    @router.post("/remove")
    def remove(case_id: CaseId, sent: SentImage) -> JSONResponse:
        return after(case_id, lambda: remove_image(workplace, case_id, sent.rev, sent.reader, sent.image))

    @router.post("/put-back")
    def put_back_(case_id: CaseId, sent: SentRemoved) -> JSONResponse:
        return after(case_id, lambda: put_back(workplace, case_id, sent.reader, sent.image))

    @router.post("/delete-removed")
    def delete(case_id: CaseId, sent: SentRemoved) -> JSONResponse:
        return after(case_id, lambda: delete_removed(workplace, case_id, sent.image))

    @router.post("/sign")
    def sign(case_id: CaseId, sent: SentSignature) -> JSONResponse:
        return after(case_id, lambda: sign_off(workplace, case_id, sent.digest, sent.reader))

    @router.post("/reopen")
    def reopen_(case_id: CaseId, sent: SentReopening) -> JSONResponse:
        return after(case_id, lambda: reopen(workplace, case_id, sent.reader, sent.reason))

    @router.get("/qupath-{image_id}.geojson")
    def geojson(case_id: CaseId, image_id: CaseId, multipoint: bool = False) -> Response:
        return send(write_geojson(desk, case_id, image_id, multipoint=multipoint))

    @router.get("/{kind}")
    def download(case_id: CaseId, kind: str, palette: str = "paper") -> Response:
        return send(writer.write(case_id, kind, palette))

    return router


def send(download: Download) -> Response:
    """A file to keep."""
    headers = {"Content-Disposition": f'attachment; filename="{download.name}"', **NO_STORE}
    return Response(download.content, media_type=download.media_type, headers=headers)
