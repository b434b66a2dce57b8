"""Routes of whole slides: their tiles, and fields cut out of them (decision 0011)."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from nucleus_app.domain.edits import MAX_ID
from nucleus_app.services.casework import CaseDesk
from nucleus_app.services.downloads import write_slide_geojson
from nucleus_app.services.slide_shelf import SlideShelf
from nucleus_app.services.slides import list_slides_to_show, remove_slide
from nucleus_app.services.workplace import Workplace
from nucleus_app.web.bodies import JsonRoute
from nucleus_app.web.caching import IMMUTABLE, NO_STORE
from nucleus_app.web.case_routes import send

SlideId = Annotated[int, Path(ge=1, le=MAX_ID)]
Place = Annotated[int, Path(ge=0, le=MAX_ID)]
AreaMm2 = Annotated[float, Query(ge=0.01, le=100, allow_inf_nan=False)]
Corner = Annotated[int, Field(ge=0, le=MAX_ID)]


class SentBox(BaseModel):
    box: tuple[Corner, Corner, Corner, Corner]


class Nothing(BaseModel):
    pass


def create_slide_router(workplace: Workplace, desk: CaseDesk) -> APIRouter:
    router = APIRouter(prefix="/nucleus", route_class=JsonRoute)
    shelf = SlideShelf(workplace)

    @router.get("/api/slides")
    def slides() -> JSONResponse:
        listed = {"slides": list_slides_to_show(workplace), "max_megapixels": workplace.settings.max_megapixels}
        return JSONResponse(listed, headers=NO_STORE)

    @router.get("/api/slides/{slide_id}/brown")
    def brown(slide_id: SlideId, mm2: AreaMm2 = 1) -> JSONResponse:
        return JSONResponse(shelf.find_brown(slide_id, mm2), headers=NO_STORE)

    @router.get("/api/slides/{slide_id}/qupath.geojson")
    def geojson(slide_id: SlideId) -> Response:
        return send(write_slide_geojson(workplace, desk, slide_id))

    @router.post("/api/slides/{slide_id}/fields")
    def cut(slide_id: SlideId, sent: SentBox) -> JSONResponse:
        image = shelf.cut(slide_id, sent.box)
        return JSONResponse({"image": image.id, "case": image.case_id}, headers=NO_STORE)

    @router.post("/api/slides/{slide_id}/remove")
    def remove(slide_id: SlideId, sent: Nothing) -> JSONResponse:
        remove_slide(workplace, slide_id)
        return JSONResponse({"removed": True}, headers=NO_STORE)

    # The key is the file's name in the store: a browser keeps tiles, and a number can come to mean another slide.
    @router.get("/slides/{key}/{slide_id}.dzi")
    def descriptor(key: str, slide_id: SlideId) -> Response:
        return Response(shelf.descriptor(slide_id, key), media_type="application/xml", headers=IMMUTABLE)

    @router.get("/slides/{key}/{slide_id}_files/{level}/{column}_{row}.jpeg")
    def tile(key: str, slide_id: SlideId, level: Place, column: Place, row: Place) -> Response:
        return Response(shelf.tile(slide_id, key, level, column, row), media_type="image/jpeg", headers=IMMUTABLE)

    return router
