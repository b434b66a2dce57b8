"""Hot spots of an image: of the nuclei that count after all corrections of its latest scoring."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from sqlalchemy.orm import Session

from db.engine import session_scope
from db.images import get_image
from db.scorings import find_latest_scoring
from nucleus_app.domain.heat_map import HeatMap, draw_heat_map
from nucleus_app.domain.hotspots import HotSpots, TumourNuclei, find_spots_of_area, find_spots_of_count
from nucleus_app.domain.index import MIN_TUMOUR_NUCLEI
from nucleus_app.domain.nuclei import NucleusClass
from nucleus_app.errors import StaleRevision
from nucleus_app.services.reviews import OpenReview, open_review
from nucleus_app.services.workplace import Workplace

NOT_ENOUGH_IN_A_WINDOW = (
    f"No window holds {MIN_TUMOUR_NUCLEI} tumour nuclei: these are the fuller ones. Choose a larger area, or a number of "
    "nuclei, before relying on one."
)


def find_hotspots(workplace: Workplace, image_id: int, *, area_mm2: float | None, nuclei: int | None) -> dict[str, Any]:
    """The hottest windows of an area, or squares of a number of nuclei (exactly one of the two), and the heat map, as JSON
    types (decision 0009). Raises NotFound, and StaleRevision while there is no result to look at.
    """
    with session_scope(workplace.engine) as session:
        opened = _open_latest(session, image_id)
    reviewed = opened.review.nuclei()
    counted = reviewed.nuclei.select(~reviewed.left_out & (reviewed.nuclei.classes != NucleusClass.OTHER))
    is_positive = counted.classes == NucleusClass.POSITIVE
    size, mpp = (opened.image.width_px, opened.image.height_px), opened.scoring.pixel_size.mpp
    tumour = TumourNuclei.within(counted.xy, is_positive, size, mpp)
    note: str | None
    if area_mm2 is not None:
        found, note = find_spots_of_area(tumour, area_mm2), NOT_ENOUGH_IN_A_WINDOW
    elif nuclei is not None:
        found = find_spots_of_count(tumour, nuclei)
        note = f"The image holds {len(tumour)} tumour nuclei, fewer than {nuclei}: this is the whole of it."
    else:
        raise ValueError("neither an area nor a number of nuclei")
    if not len(tumour):
        note = "No tumour nucleus counts in this image: there is no hot spot."
    elif found.is_enough:
        note = _say_too_small(size, mpp, area_mm2) if area_mm2 is not None else None
    heat = draw_heat_map(counted.xy, is_positive, size, mpp)
    return {**spots_to_mapping(found, note), "heat": heat_to_mapping(heat)}


def _say_too_small(size: tuple[int, int], mpp: float, area_mm2: float) -> str | None:
    """Where no square of that area fits into an image."""
    sides = [px * mpp / 1000 for px in size]
    if min(sides) ** 2 >= area_mm2:
        return None
    if max(sides) ** 2 <= area_mm2:
        return f"The image is smaller than {area_mm2:g} mm²: this is the whole of it."
    narrow = min(sides) * math.sqrt(area_mm2)
    return f"The image is too narrow for a square of {area_mm2:g} mm²: these cover {narrow:.2g} mm²."


def spots_to_mapping(found: HotSpots, note: str | None) -> dict[str, Any]:
    """Spots as JSON types; ``note`` says what is wrong with them."""
    return {
        "spots": [
            {
                "box": list(spot.box),
                "positive": spot.index.counts.positive,
                "tumour": spot.index.counts.tumour,
                "percent": spot.index.percent,
                "low_percent": spot.index.low_percent,
                "high_percent": spot.index.high_percent,
                "area_mm2": spot.area_mm2,
            }
            for spot in found.spots
        ],
        "enough": found.is_enough,
        "note": note,
    }


def heat_to_mapping(heat: HeatMap) -> dict[str, Any]:
    """A heat map as JSON types, row by row; None where there is no index."""
    rows, columns = heat.tumour.shape
    percent = [None if np.isnan(value) else round(value, 2) for value in heat.percent.ravel().tolist()]
    tumour = heat.tumour.ravel().tolist()
    return {"size_px": heat.size_px, "columns": columns, "rows": rows, "percent": percent, "tumour": tumour}


def _open_latest(session: Session, image_id: int) -> OpenReview:
    image = get_image(session, image_id)
    scoring = find_latest_scoring(session, image_id)
    if scoring is None:
        needs = "" if image.pixel_size else ", which begins when you give its pixel size"
        raise StaleRevision(f"This image is not scored yet: hot spots are found after its scoring{needs}.")
    if scoring.is_refused:
        raise StaleRevision("Nothing was counted in this image: press Score again, then look for hot spots.")
    if scoring.version is None:
        raise StaleRevision(f"The scoring of this image is {scoring.state.value}: hot spots are found once it is done.")
    return open_review(session, scoring)
