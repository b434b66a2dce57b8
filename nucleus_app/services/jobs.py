"""Handing work to the worker. Names only: whoever enqueues needs no torch."""

from __future__ import annotations

from dbos import DBOSClient
from sqlalchemy import Engine
from sqlalchemy.orm import Session

SCORING_QUEUE = "scoring"
SCORE_IMAGE = "score_image"
JOB_PREFIX = "scoring-"
JOB_VERSION = "jobs-1"
"""Changes only when a running job could not go on with the new code; else an upgrade would strand what is pending."""


class JobQueue:
    """Enqueues scorings in the caller's own transaction: a scoring and its job exist together or not at all."""

    def __init__(self, engine: Engine) -> None:
        self._client = DBOSClient(system_database_engine=engine, lazy=True)

    def enqueue_scoring(self, session: Session, scoring_id: int) -> None:
        self._client.enqueue_in_transaction(
            session,
            {
                "workflow_name": SCORE_IMAGE,
                "queue_name": SCORING_QUEUE,
                "workflow_id": f"{JOB_PREFIX}{scoring_id}",
                "app_version": JOB_VERSION,
            },
            scoring_id,
        )

    def close(self) -> None:
        self._client.destroy()
