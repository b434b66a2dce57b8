"""Routes of corrections, under ``/nucleus/api/scorings`` (decision 0008)."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool

from nucleus_app.domain.edits import MAX_ID
from nucleus_app.services.reviews import EditsRead, ReviewDesk
from nucleus_app.services.roi import ask_for_roi, read_roi
from nucleus_app.services.scored_images import get_packed_candidates
from nucleus_app.services.workplace import Workplace
from nucleus_app.web.bodies import SentenceRoute, parse_body, read_body
from nucleus_app.web.caching import IMMUTABLE, NO_STORE

ScoringId = Annotated[int, Path(ge=1, le=MAX_ID)]


def create_review_router(workplace: Workplace, desk: ReviewDesk) -> APIRouter:
    router = APIRouter(prefix="/nucleus/api/scorings/{scoring_id}", route_class=SentenceRoute)

    @router.get("/candidates")
    def candidates(scoring_id: ScoringId) -> Response:
        packed = get_packed_candidates(workplace, scoring_id)
        return Response(packed, media_type="application/octet-stream", headers=IMMUTABLE)

    @router.get("/doubtful")
    def doubtful(scoring_id: ScoringId) -> JSONResponse:
        return JSONResponse({"ids": desk.list_doubtful(scoring_id)}, headers=NO_STORE)

    @router.get("/edits")
    def read_edits(scoring_id: ScoringId, after: Annotated[int, Query(ge=0, le=MAX_ID)] = 0) -> JSONResponse:
        return JSONResponse(_read_to_mapping(desk.read_edits(scoring_id, after)), headers=NO_STORE)

    @router.post("/edits")
    async def take_edits(scoring_id: ScoringId, request: Request) -> JSONResponse:
        body = await read_body(request)
        return await run_in_threadpool(_take, desk, scoring_id, body)

    @router.get("/roi")
    def roi(scoring_id: ScoringId) -> JSONResponse:
        return JSONResponse(read_roi(workplace, scoring_id), headers=NO_STORE)

    @router.post("/roi")
    def find_roi(scoring_id: ScoringId) -> JSONResponse:
        return JSONResponse(ask_for_roi(workplace, scoring_id), headers=NO_STORE)

    return router


def _take(desk: ReviewDesk, scoring_id: int, body: bytes) -> JSONResponse:
    taken = desk.take_edits(scoring_id, parse_body(body))
    answer = {"ack": taken.ack} | _read_to_mapping(taken.read)
    if taken.refused is None:
        return JSONResponse(answer, headers=NO_STORE)
    return JSONResponse({"detail": taken.reason, "refused": taken.refused} | answer, 422, headers=NO_STORE)


def _read_to_mapping(read: EditsRead) -> dict[str, Any]:
    return {"rev": read.rev, "edits": read.edits, "score": read.score}
