"""HTTP routes under ``/nucleus``. Plain functions: they run in the thread pool and never block the event loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Path, Request, Response
from fastapi.responses import JSONResponse

from nucleus_app.domain.edits import MAX_ID
from nucleus_app.errors import NotFound, SignedOff, StaleRevision
from nucleus_app.reports.formats import record_to_csv, record_to_json
from nucleus_app.services.case_states import CaseList
from nucleus_app.services.casework import CaseDesk
from nucleus_app.services.downloads import CSV, JSON, Download, write_cases
from nucleus_app.services.pixels import PyramidCache, deep_zoom
from nucleus_app.services.removal import list_removed_to_show
from nucleus_app.services.reviews import ReviewDesk
from nucleus_app.services.scored_images import get_record, get_scored_image, list_scored_images, scored_image_to_mapping
from nucleus_app.services.worklist import WorkList
from nucleus_app.services.workplace import Workplace
from nucleus_app.web.bodies import SentenceRoute
from nucleus_app.web.caching import IMMUTABLE, NO_STORE
from nucleus_app.web.case_routes import create_case_router, send
from nucleus_app.web.hotspot_routes import create_hotspot_router
from nucleus_app.web.qupath_routes import create_qupath_router
from nucleus_app.web.review_routes import create_review_router
from nucleus_app.web.slide_routes import create_slide_router
from nucleus_app.web.training_routes import create_training_router

ImageId = Annotated[int, Path(ge=1, le=MAX_ID)]
Place = Annotated[int, Path(ge=0, le=MAX_ID)]
STATUS: dict[type[Exception], int] = {NotFound: 404, StaleRevision: 409, SignedOff: 409}


def create_router(
    workplace: Workplace,
    is_worker_failing: Callable[[], bool] = lambda: False,
    is_trainer_failing: Callable[[], bool] = lambda: False,
) -> APIRouter:
    router = APIRouter(prefix="/nucleus", route_class=SentenceRoute)
    pyramids = PyramidCache(workplace)
    desk = ReviewDesk(workplace)
    case_desk = CaseDesk(workplace, desk)
    case_list = CaseList(workplace, case_desk)
    work_list = WorkList(workplace)

    @router.get("/healthz")
    def health() -> dict[str, str]:
        return {"status": "ok"}

    # The start of the pixels' hash is part of the address: a browser keeps tiles, and a number can come to mean another
    # image when the data folder is replaced.
    @router.get("/tiles/{blob}/{image_id}.dzi")
    def descriptor(blob: str, image_id: ImageId) -> Response:
        return Response(deep_zoom(workplace, image_id), media_type="application/xml", headers=IMMUTABLE)

    @router.get("/tiles/{blob}/{image_id}_files/{level}/{column}_{row}.jpeg")
    def tile(blob: str, image_id: ImageId, level: Place, column: Place, row: Place) -> Response:
        return Response(pyramids.get(image_id).tile(level, column, row), media_type="image/jpeg", headers=IMMUTABLE)

    @router.get("/api/images")
    def images() -> JSONResponse:
        images = list_scored_images(workplace)
        listed = {
            "images": [scored_image_to_mapping(image) for image in images],
            "cases": case_list.list_briefs(images),
            "removed": list_removed_to_show(workplace),
        }
        return JSONResponse(listed | {"worker_failing": is_worker_failing()}, headers=NO_STORE)

    @router.get("/api/worklist")
    def worklist() -> JSONResponse:
        return JSONResponse(work_list.read(), headers=NO_STORE)

    @router.get("/api/cases.xlsx")
    def cases_xlsx() -> Response:
        return send(write_cases(workplace, case_desk))

    @router.get("/api/images/{image_id}")
    def case(image_id: ImageId) -> JSONResponse:
        return JSONResponse(scored_image_to_mapping(get_scored_image(workplace, image_id)), headers=NO_STORE)

    @router.get("/api/images/{image_id}/result.json")
    def result_json(image_id: ImageId) -> Response:
        content = record_to_json(get_record(workplace, image_id)).encode()
        return send(Download(f"image-{image_id}.json", JSON, content))

    @router.get("/api/images/{image_id}/nuclei.csv")
    def nuclei_csv(image_id: ImageId) -> Response:
        content = record_to_csv(get_record(workplace, image_id)).encode()
        return send(Download(f"image-{image_id}-nuclei.csv", CSV, content))

    whole = APIRouter()
    whole.include_router(router)
    whole.include_router(create_review_router(workplace, desk))
    whole.include_router(create_case_router(workplace, case_desk))
    whole.include_router(create_hotspot_router(workplace))
    whole.include_router(create_qupath_router(workplace))
    whole.include_router(create_slide_router(workplace, case_desk))
    whole.include_router(create_training_router(workplace, pyramids, is_trainer_failing))
    return whole


def error_to_response(request: Request, error: Exception) -> Response:
    """Our errors as JSON with their message; registered as exception handler."""
    status = next((code for kind, code in STATUS.items() if isinstance(error, kind)), 422)
    return JSONResponse({"detail": str(error)}, status, headers=NO_STORE)
