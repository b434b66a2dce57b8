"""Handing work to the worker. Names only: whoever enqueues needs no torch."""

from __future__ import annotations

from dbos import DBOSClient
from sqlalchemy import Engine
from sqlalchemy.orm import Session

SCORING_QUEUE = "scoring"
SCORE_IMAGE = "score_image"
JOB_PREFIX = "scoring-"
FIND_ROI = "find_roi"
ROI_PREFIX = "roi-"
JOB_VERSION = "jobs-1"
"""Changes only when a running job could not go on with the new code; else an upgrade would strand what is pending."""


class JobQueue:
    """Enqueues work in the caller's own transaction: a scoring and its job exist together or not at all."""

    def __init__(self, engine: Engine) -> None:
        self._client = DBOSClient(system_database_engine=engine, lazy=True)

    def enqueue_scoring(self, session: Session, scoring_id: int) -> None:
        self._enqueue(session, SCORE_IMAGE, f"{JOB_PREFIX}{scoring_id}", scoring_id)

    def enqueue_roi(self, session: Session, scoring_id: int, attempt: int) -> None:
        """The map of tumour of a done scoring. ``attempt`` above 1 after a failure: a job's name works once only."""
        again = f"-{attempt}" if attempt > 1 else ""
        self._enqueue(session, FIND_ROI, f"{ROI_PREFIX}{scoring_id}{again}", scoring_id)

    def _enqueue(self, session: Session, workflow: str, name: str, scoring_id: int) -> None:
        self._client.enqueue_in_transaction(
            session,
            {
                "workflow_name": workflow,
                "queue_name": SCORING_QUEUE,
                "workflow_id": name,
                "app_version": JOB_VERSION,
            },
            scoring_id,
        )

    def close(self) -> None:
        self._client.destroy()
