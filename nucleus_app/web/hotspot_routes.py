"""The route of hot spots (decision 0009)."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, HTTPException, Path, Query
from fastapi.responses import JSONResponse

from nucleus_app.domain.edits import MAX_ID
from nucleus_app.services.hotspots import find_hotspots
from nucleus_app.services.workplace import Workplace
from nucleus_app.web.bodies import SentenceRoute
from nucleus_app.web.caching import NO_STORE

AreaMm2 = Annotated[float | None, Query(ge=0.01, le=100, allow_inf_nan=False)]
Nuclei = Annotated[int | None, Query(ge=50, le=100_000)]
ImageId = Annotated[int, Path(ge=1, le=MAX_ID)]


def create_hotspot_router(workplace: Workplace) -> APIRouter:
    router = APIRouter(prefix="/nucleus/api/images/{image_id}", route_class=SentenceRoute)

    @router.get("/hotspots")
    def hotspots(image_id: ImageId, area_mm2: AreaMm2 = None, nuclei: Nuclei = None) -> JSONResponse:
        if (area_mm2 is None) == (nuclei is None):
            raise HTTPException(422, "Give either area_mm2 (such as 0.2) or nuclei (such as 500), and not both.")
        found = find_hotspots(workplace, image_id, area_mm2=area_mm2, nuclei=nuclei)
        return JSONResponse(found, headers=NO_STORE)

    return router
