"""The route of hot spots (decision 0009)."""

from __future__ import annotations

import math
from typing import Annotated

from fastapi import APIRouter, HTTPException, Path
from fastapi.responses import JSONResponse

from nucleus_app.domain.edits import MAX_ID
from nucleus_app.services.hotspots import find_hotspots
from nucleus_app.services.workplace import Workplace
from nucleus_app.web.bodies import SentenceRoute
from nucleus_app.web.caching import NO_STORE

AREA_MM2 = (0.01, 100.0)
NUCLEI = (50, 100_000)
ImageId = Annotated[int, Path(ge=1, le=MAX_ID)]


def create_hotspot_router(workplace: Workplace) -> APIRouter:
    router = APIRouter(prefix="/nucleus/api/images/{image_id}", route_class=SentenceRoute)

    # The parameters come as text, so that a wrong one is answered with a sentence.
    @router.get("/hotspots")
    def hotspots(image_id: ImageId, area_mm2: str | None = None, nuclei: str | None = None) -> JSONResponse:
        if (area_mm2 is None) == (nuclei is None):
            raise HTTPException(422, "Give either area_mm2 (such as 0.2) or nuclei (such as 500), and not both.")
        area = None if area_mm2 is None else _parse("area_mm2", area_mm2, *AREA_MM2)
        n = None if nuclei is None else _parse("nuclei", nuclei, *NUCLEI)
        if n is not None and n % 1:
            raise HTTPException(422, f"nuclei is {n:g}: give a whole number.")
        found = find_hotspots(workplace, image_id, area_mm2=area, nuclei=None if n is None else int(n))
        return JSONResponse(found, headers=NO_STORE)

    return router


def _parse(name: str, text: str, lowest: float, highest: float) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not lowest <= value <= highest:
        raise HTTPException(422, f"{name} is {text[:20]!a}: give a number from {lowest:g} to {highest:g}.")
    return value
