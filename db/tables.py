"""Tables. Meaning of every column: docs/data_model.md."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import Enum
from typing import Any

from sqlalchemy import (
    JSON,
    CheckConstraint,
    DateTime,
    Dialect,
    Double,
    ForeignKey,
    Index,
    LargeBinary,
    MetaData,
    String,
    TypeDecorator,
    UniqueConstraint,
    false,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class UtcDateTime(TypeDecorator[datetime]):
    """Aware UTC in Python, whatever the database keeps."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return value.astimezone(UTC) if value is not None else None

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Table(DeclarativeBase):
    metadata = MetaData(naming_convention=NAMING)


class ScoringState(Enum):
    """Where a scoring stands."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


class CaseRow(Table):
    """One patient's specimen: what a reader filled in of it, as of revision ``rev`` of the sheet."""

    __tablename__ = "case_record"
    __table_args__ = (CheckConstraint("rev >= 0", name="rev"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(primary_key=True)
    rev: Mapped[int]
    sheet: Mapped[dict[str, Any]] = mapped_column(JSON)
    created: Mapped[datetime] = mapped_column(UtcDateTime)


class CaseChangeRow(Table):
    """Every revision of a case's sheet, the first included. Rows are added, never changed or removed."""

    __tablename__ = "case_change"

    case_id: Mapped[int] = mapped_column(ForeignKey("case_record.id"), primary_key=True)
    rev: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    reader: Mapped[str] = mapped_column(String(60))
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    sheet: Mapped[dict[str, Any]] = mapped_column(JSON)


class SignOffRow(Table):
    """A revision of a case was signed, or reopened. Rows are added, never changed or removed."""

    __tablename__ = "sign_off"
    __table_args__ = (
        UniqueConstraint("case_id", "revision", "kind"),
        CheckConstraint("kind IN ('signed', 'reopened')", name="kind"),
        CheckConstraint("(kind = 'signed') = (report IS NOT NULL)", name="report"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    case_id: Mapped[int] = mapped_column(ForeignKey("case_record.id"))
    revision: Mapped[int]
    kind: Mapped[str] = mapped_column(String(16))
    reader: Mapped[str] = mapped_column(String(60))
    reason: Mapped[str] = mapped_column(String(1000))
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    report: Mapped[str | None] = mapped_column(String(64))
    shown: Mapped[str | None] = mapped_column(String(16))
    class_name: Mapped[str | None] = mapped_column(String(16))


class ImageRow(Table):
    """An image that was taken in. Its pixels are a blob; nothing of the file's metadata is kept but the pixel size. ``removed``:
    since when it is no case's any more; ``deleted``: since when its pixels are gone, too.
    """

    __tablename__ = "image"
    __table_args__ = (
        CheckConstraint("width_px > 0 AND height_px > 0", name="size"),
        Index("ix_image_sha256", "sha256"),
        Index("ix_image_case_id", "case_id"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    sha256: Mapped[str] = mapped_column(String(64))
    blob: Mapped[str] = mapped_column(String(64))
    label: Mapped[str] = mapped_column(String(200))
    format: Mapped[str] = mapped_column(String(16))
    width_px: Mapped[int]
    height_px: Mapped[int]
    mpp: Mapped[float | None] = mapped_column(Double)
    mpp_source: Mapped[str | None] = mapped_column(String(64))
    notes: Mapped[list[str]] = mapped_column(JSON)
    is_synthetic: Mapped[bool]
    taken_in: Mapped[datetime] = mapped_column(UtcDateTime)
    case_id: Mapped[int] = mapped_column(ForeignKey("case_record.id"))
    removed: Mapped[datetime | None] = mapped_column(UtcDateTime)
    deleted: Mapped[datetime | None] = mapped_column(UtcDateTime)


class SlideRow(Table):
    """A whole slide that fields are chosen on. Its file is kept for a while, outside the blobs; ``removed``: since when it is gone."""

    __tablename__ = "slide"
    __table_args__ = (
        CheckConstraint("width_px > 0 AND height_px > 0", name="size"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    file: Mapped[str] = mapped_column(String(64))
    maker: Mapped[str] = mapped_column(String(32))
    label: Mapped[str] = mapped_column(String(200))
    width_px: Mapped[int]
    height_px: Mapped[int]
    mpp: Mapped[float | None] = mapped_column(Double)
    mpp_source: Mapped[str | None] = mapped_column(String(64))
    taken_in: Mapped[datetime] = mapped_column(UtcDateTime)
    removed: Mapped[datetime | None] = mapped_column(UtcDateTime)
    case_id: Mapped[int | None] = mapped_column(ForeignKey("case_record.id"))


class SlideFieldRow(Table):
    """Where on a slide an image was cut out: its upper left corner, in pixels of the full resolution. ``overview``: blob of a small
    picture of the slide.
    """

    __tablename__ = "slide_field"
    __table_args__ = (Index("ix_slide_field_slide_id", "slide_id"),)

    image_id: Mapped[int] = mapped_column(ForeignKey("image.id"), primary_key=True, autoincrement=False)
    slide_id: Mapped[int] = mapped_column(ForeignKey("slide.id"))
    left_px: Mapped[int]
    top_px: Mapped[int]
    overview: Mapped[str | None] = mapped_column(String(64))


class ScoringRow(Table):
    """One scoring of one image by one version, at one pixel size. Never changed once it is done."""

    __tablename__ = "scoring"
    __table_args__ = (
        CheckConstraint("state IN ('queued', 'running', 'done', 'failed')", name="state"),
        CheckConstraint("mpp > 0", name="mpp"),
        Index("ix_scoring_image_id", "image_id"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    image_id: Mapped[int] = mapped_column(ForeignKey("image.id"))
    state: Mapped[str] = mapped_column(String(16))
    mpp: Mapped[float] = mapped_column(Double)
    mpp_source: Mapped[str] = mapped_column(String(64))
    tiles_total: Mapped[int | None]
    queued: Mapped[datetime] = mapped_column(UtcDateTime)
    started: Mapped[datetime | None] = mapped_column(UtcDateTime)
    finished: Mapped[datetime | None] = mapped_column(UtcDateTime)
    error: Mapped[str | None] = mapped_column(String(1000))
    version_name: Mapped[str | None] = mapped_column(String(100))
    version_sha256: Mapped[str | None] = mapped_column(String(64))
    thresholds: Mapped[list[float] | None] = mapped_column(JSON)
    app_version: Mapped[str | None] = mapped_column(String(32))
    positive: Mapped[int | None]
    negative: Mapped[int | None]
    other: Mapped[int | None]
    nuclei: Mapped[bytes | None] = mapped_column(LargeBinary, deferred=True)
    oddities: Mapped[list[str]] = mapped_column(JSON, default=list, server_default="[]")
    confidence: Mapped[list[float] | None] = mapped_column(JSON)
    confirmed: Mapped[bool] = mapped_column(default=False, server_default=false())
    traits: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))


class TileRow(Table):
    """Nuclei of one finished tile of a running scoring; gone once the scoring is done."""

    __tablename__ = "scoring_tile"

    scoring_id: Mapped[int] = mapped_column(ForeignKey("scoring.id", ondelete="CASCADE"), primary_key=True)
    tile: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    nuclei: Mapped[bytes] = mapped_column(LargeBinary)
    finished: Mapped[datetime] = mapped_column(UtcDateTime)


class EditRow(Table):
    """One correction of a scoring, in the order in which it was accepted. Rows are added, never changed or removed."""

    __tablename__ = "edit"
    __table_args__ = (
        UniqueConstraint("scoring_id", "client", "seq"),
        CheckConstraint("rev > 0 AND seq > 0", name="order"),
    )

    scoring_id: Mapped[int] = mapped_column(ForeignKey("scoring.id"), primary_key=True)
    rev: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    client: Mapped[str] = mapped_column(String(64))
    seq: Mapped[int]
    author: Mapped[str] = mapped_column(String(64))
    reader: Mapped[str] = mapped_column(String(60))
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    op: Mapped[dict[str, Any]] = mapped_column(JSON)
    was: Mapped[Any] = mapped_column(JSON(none_as_null=True), nullable=True)


class ReviewRow(Table):
    """What the edits of a scoring come to, kept in the same transaction, so that a list of cases needs no fold."""

    __tablename__ = "review"

    scoring_id: Mapped[int] = mapped_column(ForeignKey("scoring.id"), primary_key=True, autoincrement=False)
    rev: Mapped[int]
    positive: Mapped[int]
    negative: Mapped[int]
    other: Mapped[int]
    left_out: Mapped[int]
    edited: Mapped[int]
    placed: Mapped[int]
    deleted: Mapped[int]
    updated: Mapped[datetime] = mapped_column(UtcDateTime)


class RoiMapRow(Table):
    """The network's own map of where tumour is, once somebody asked for it; ``cells`` when it is done."""

    __tablename__ = "roi_map"

    scoring_id: Mapped[int] = mapped_column(ForeignKey("scoring.id"), primary_key=True, autoincrement=False)
    cells: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    error: Mapped[str | None] = mapped_column(String(1000))
    attempt: Mapped[int]
    created: Mapped[datetime] = mapped_column(UtcDateTime)


class LearningCaseRow(Table):
    """On which side of the learning loop a case stands, since it was signed first. Rows are added, never changed or removed."""

    __tablename__ = "learning_case"
    __table_args__ = (
        UniqueConstraint("place"),
        CheckConstraint("split IN ('train', 'validation', 'locked')", name="split"),
        CheckConstraint("place >= 0", name="place"),
    )

    case_id: Mapped[int] = mapped_column(ForeignKey("case_record.id"), primary_key=True, autoincrement=False)
    place: Mapped[int]
    split: Mapped[str] = mapped_column(String(16))
    at: Mapped[datetime] = mapped_column(UtcDateTime)


class RunRow(Table):
    """One training run: where it stands, who holds it, and what each of its states made."""

    __tablename__ = "training_run"
    __table_args__ = (
        UniqueConstraint("is_open"),
        CheckConstraint(
            "state IN ('queued', 'preparing', 'training', 'judging', 'promoted', 'rejected', 'undecided', 'nothing', "
            "'failed', 'cancelled')",
            name="state",
        ),
        CheckConstraint("cause IN ('fields', 'button')", name="cause"),
        CheckConstraint(
            "(is_open IS NULL) = (state NOT IN ('queued', 'preparing', 'training', 'judging'))", name="open"
        ),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    state: Mapped[str] = mapped_column(String(16))
    is_open: Mapped[bool | None]
    """True or null, never false: the database itself keeps a second run from being open."""
    cause: Mapped[str] = mapped_column(String(16))
    requested_by: Mapped[str] = mapped_column(String(60))
    queued: Mapped[datetime] = mapped_column(UtcDateTime)
    started: Mapped[datetime | None] = mapped_column(UtcDateTime)
    finished: Mapped[datetime | None] = mapped_column(UtcDateTime)
    holder: Mapped[str | None] = mapped_column(String(64))
    beat: Mapped[int]
    last_sign_off: Mapped[int]
    snapshot: Mapped[str | None] = mapped_column(String(64))
    start_sha256: Mapped[str | None] = mapped_column(String(64))
    candidate_sha256: Mapped[str | None] = mapped_column(String(64))
    verdict: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    error: Mapped[str | None] = mapped_column(String(1000))
    is_cancelled: Mapped[bool]
    summary: Mapped[dict[str, Any]] = mapped_column(JSON)
    device: Mapped[str | None] = mapped_column(String(100))


class RunEventRow(Table):
    """What happened in a training run. Rows are added, never changed or removed."""

    __tablename__ = "training_event"
    __table_args__ = (Index("ix_training_event_run_id", "run_id"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(primary_key=True)
    run_id: Mapped[int] = mapped_column(ForeignKey("training_run.id"))
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    event: Mapped[dict[str, Any]] = mapped_column(JSON)


class VersionRow(Table):
    """A set of weights that this store knows. Its file is the blob of that name. Rows are added, never changed or removed."""

    __tablename__ = "version"

    sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    name: Mapped[str] = mapped_column(String(100))
    parent: Mapped[str | None] = mapped_column(String(64))
    run_id: Mapped[int | None] = mapped_column(ForeignKey("training_run.id"))
    created: Mapped[datetime] = mapped_column(UtcDateTime)
    size_bytes: Mapped[int]
    learned: Mapped[dict[str, Any]] = mapped_column(JSON)


class ActivationRow(Table):
    """A version was put in service, or could not be opened. Rows are added, never changed or removed; the last one that is
    no refusal says what is in service.
    """

    __tablename__ = "activation"
    __table_args__ = (
        CheckConstraint("reason IN ('promoted', 'chosen', 'refused')", name="reason"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    sha256: Mapped[str] = mapped_column(ForeignKey("version.sha256"))
    actor: Mapped[str] = mapped_column(String(64))
    reason: Mapped[str] = mapped_column(String(16))
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    run_id: Mapped[int | None] = mapped_column(ForeignKey("training_run.id"))


class TrainerRow(Table):
    """What a trainer said last of itself."""

    __tablename__ = "trainer"

    slot: Mapped[str] = mapped_column(String(64), primary_key=True)
    doing: Mapped[str] = mapped_column(String(200))
    at: Mapped[datetime] = mapped_column(UtcDateTime)
