"""What every use case works with: database, blobs, job queue, settings."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Engine

from db.blobs import BlobStore
from db.engine import create_store
from db.migrate import migrate
from nucleus_app.services.jobs import JobQueue
from nucleus_app.settings import Settings


@dataclass(frozen=True, slots=True)
class Workplace:
    settings: Settings
    engine: Engine
    blobs: BlobStore
    jobs: JobQueue


def open_workplace(settings: Settings) -> Workplace:
    """Open (and create or upgrade) the database and the blob store."""
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    engine = create_store(settings.sqlalchemy_url)
    migrate(engine)
    return Workplace(settings, engine, BlobStore(settings.blob_store_url), JobQueue(engine))
