"""The network's own map of tumour for a scoring: asked for, made tile by tile, read."""

from __future__ import annotations

import struct
from datetime import UTC, datetime
from typing import Any

import numpy as np

from db.engine import session_scope
from db.images import get_image
from db.roi_maps import ask_for_roi_map, fail_roi_map, find_roi_map, finish_roi_map
from db.scorings import get_scoring, lock_scoring
from nucleus_app.domain.edits import RegionLabel, shape_to_mapping
from nucleus_app.domain.qupath import IMPORT_NAME
from nucleus_app.errors import StaleRevision
from nucleus_app.kinet.predictor import Field, Predictor
from nucleus_app.kinet.roi import CellGrid, CellVotes, count_votes, plan_cells, vote_in_tile
from nucleus_app.services.workplace import Workplace

_HEADER = struct.Struct("<4I")


def ask_for_roi(workplace: Workplace, scoring_id: int) -> dict[str, Any]:
    """Have the map made, unless it is or is being made. Returns its state.

    Raises NotFound, and StaleRevision for a scoring that is not done, or that no network made.
    """
    with session_scope(workplace.engine, write=True) as session:
        scoring = lock_scoring(session, scoring_id)
        if scoring.version is None:
            raise StaleRevision(f"Scoring {scoring_id} is {scoring.state.value}: ask again once it is done.")
        if scoring.version.name == IMPORT_NAME:
            raise StaleRevision(
                "These nuclei were imported: a network's map of tumour exists only for what it scored itself."
            )
        attempt = ask_for_roi_map(session, scoring_id, datetime.now(UTC))
        if attempt is not None:
            workplace.jobs.enqueue_roi(session, scoring_id, attempt)
    return read_roi(workplace, scoring_id)


def read_roi(workplace: Workplace, scoring_id: int) -> dict[str, Any]:
    """``state`` none, running, done or failed; ``cells`` as the fields of a region edit once done. Raises NotFound."""
    with session_scope(workplace.engine) as session:
        get_scoring(session, scoring_id)
        stored = find_roi_map(session, scoring_id)
    if stored is None:
        return {"state": "none", "cells": None, "error": None}
    state = "running" if stored.is_open else ("failed" if stored.error else "done")
    return {"state": state, "cells": stored.cells, "error": stored.error}


class RoiMapper:
    """The steps of one map. Each may run twice."""

    def __init__(self, workplace: Workplace) -> None:
        self._workplace = workplace

    def vote(self, scoring_id: int, predictor: Predictor, field: Field, tile: int) -> bytes:
        """One tile's votes, packed, for the job to remember."""
        return _pack(vote_in_tile(predictor, field, field.tiles[tile], self._get_grid(scoring_id)))

    def finish(self, scoring_id: int, votes: list[bytes]) -> None:
        cells = count_votes(self._get_grid(scoring_id), [_unpack(packed) for packed in votes])
        mapping = {"label": RegionLabel.TUMOUR.value, **shape_to_mapping(cells)}
        with session_scope(self._workplace.engine, write=True) as session:
            finish_roi_map(session, scoring_id, mapping)

    def fail(self, scoring_id: int, reason: str, attempt: int | None = None) -> None:
        """``attempt``: only if it is the latest, for a job that was lost long ago."""
        with session_scope(self._workplace.engine, write=True) as session:
            fail_roi_map(session, scoring_id, reason, attempt)

    def _get_grid(self, scoring_id: int) -> CellGrid:
        with session_scope(self._workplace.engine) as session:
            scoring = get_scoring(session, scoring_id)
            image = get_image(session, scoring.image_id)
        return plan_cells(image.width_px, image.height_px, scoring.pixel_size.mpp)


def _pack(votes: CellVotes) -> bytes:
    return _HEADER.pack(votes.row, votes.column, *votes.balance.shape) + votes.balance.astype("<i4").tobytes()


def _unpack(packed: bytes) -> CellVotes:
    row, column, rows, columns = _HEADER.unpack_from(packed)
    balance = np.frombuffer(packed, "<i4", rows * columns, _HEADER.size).reshape(rows, columns)
    return CellVotes(row, column, balance.astype(np.int32))
