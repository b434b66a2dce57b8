"""Store of scorings: queue one, note its tiles, finish it, read it back. Functions never commit."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Select, delete, func, select
from sqlalchemy.orm import Session

from db.tables import ScoringRow, ScoringState, TileRow
from nucleus_app.domain.confidence import Confidence
from nucleus_app.domain.nuclei import Counts, Nuclei
from nucleus_app.domain.oddities import Oddity, is_refused
from nucleus_app.domain.packing import pack_nuclei, unpack_nuclei
from nucleus_app.domain.scale import PixelSize
from nucleus_app.errors import NotFound

Thresholds = tuple[float, ...]
RECENT = 17
"""So many moments tell how fast the latest tiles were."""


@dataclass(frozen=True, slots=True)
class VersionUsed:
    """Which weights, cut where, by which app."""

    name: str
    sha256: str
    thresholds: Thresholds
    app_version: str
    confidence: Confidence | None = None


@dataclass(frozen=True, slots=True)
class StoredScoring:
    """A scoring without its nuclei. ``counts`` and ``version`` are None until it is done."""

    id: int
    image_id: int
    state: ScoringState
    pixel_size: PixelSize
    tiles_done: int
    tiles_total: int | None
    queued: datetime
    started: datetime | None
    finished: datetime | None
    error: str | None
    counts: Counts | None
    version: VersionUsed | None
    oddities: tuple[Oddity, ...]
    confirmed: bool
    """A person had it scored although it is odd."""
    traits: dict[str, float] | None = field(default=None, hash=False)
    """What the image looks like, by name; None for scorings of before."""
    recent: tuple[datetime, ...] = ()
    """While it is open: when it began, where few tiles are done, and when its latest tiles were done."""

    @property
    def is_refused(self) -> bool:
        """Done, but as no Ki67 field: nothing was counted, and the reader was told."""
        return self.counts is not None and is_refused(self.oddities, confirmed=self.confirmed)

    @property
    def is_open(self) -> bool:
        """Queued or running."""
        return self.state in (ScoringState.QUEUED, ScoringState.RUNNING)


def queue_scoring(
    session: Session, image_id: int, pixel_size: PixelSize, now: datetime, *, confirmed: bool = False
) -> int:
    """A new scoring of an image; returns its id. ``confirmed``: score it however odd it is."""
    row = ScoringRow(
        image_id=image_id, state=ScoringState.QUEUED.value, mpp=pixel_size.mpp, mpp_source=pixel_size.source,
        queued=now, confirmed=confirmed,
    )  # fmt: skip
    session.add(row)
    session.flush()
    return row.id


def start_scoring(
    session: Session,
    scoring_id: int,
    tiles_total: int,
    version_sha256: str,
    now: datetime,
    *,
    oddities: tuple[Oddity, ...] = (),
    traits: dict[str, float] | None = None,
) -> None:
    """Note that work began, with which version, what is odd, and what the image looks like. Again is fine: a resumed job starts where it was."""
    row = _get_row(session, scoring_id)
    row.oddities = [oddity.value for oddity in oddities]
    row.traits = traits if traits is not None else row.traits
    row.state, row.tiles_total, row.error = ScoringState.RUNNING.value, tiles_total, None
    row.started = row.started or now
    row.version_sha256 = row.version_sha256 or version_sha256


def get_started_version(session: Session, scoring_id: int) -> str | None:
    """SHA-256 of the version a scoring was started with."""
    return _get_row(session, scoring_id).version_sha256


def put_tile(session: Session, scoring_id: int, tile: int, nuclei: Nuclei, now: datetime) -> None:
    """Keep one tile's nuclei. Again is fine: the same tile replaces itself."""
    session.merge(TileRow(scoring_id=scoring_id, tile=tile, nuclei=pack_nuclei(nuclei), finished=now))


def read_tiles(session: Session, scoring_id: int) -> list[Nuclei]:
    """Nuclei of the finished tiles, in tile order."""
    rows = session.scalars(select(TileRow).where(TileRow.scoring_id == scoring_id).order_by(TileRow.tile))
    return [unpack_nuclei(row.nuclei) for row in rows]


def finish_scoring(
    session: Session,
    scoring_id: int,
    candidates: Nuclei,
    version: VersionUsed,
    now: datetime,
    *,
    oddities: tuple[Oddity, ...] = (),
) -> bool:
    """Store the candidates, count those over the thresholds, drop the tiles; ``oddities``: what only these show. Again is
    fine: a done scoring is left as it is, and False returned.
    """
    row = _get_row(session, scoring_id)
    if row.state == ScoringState.DONE.value:
        return False
    row.positive, row.negative, row.other = candidates.reaching(version.thresholds).counts()
    row.nuclei = pack_nuclei(candidates)
    row.oddities = [*row.oddities, *(oddity.value for oddity in oddities)]
    row.version_name, row.version_sha256 = version.name, version.sha256
    row.thresholds, row.app_version = list(version.thresholds), version.app_version
    row.confidence = [version.confidence.slope, version.confidence.intercept] if version.confidence else None
    row.state, row.finished = ScoringState.DONE.value, now
    session.execute(delete(TileRow).where(TileRow.scoring_id == scoring_id))
    return True


def fail_scoring(session: Session, scoring_id: int, reason: str, now: datetime) -> None:
    """Note why an open scoring failed. One that is over stays as it is: what goes wrong after that cost nothing of it."""
    row = _get_row(session, scoring_id)
    if not _stored(session, row).is_open:
        return
    row.state, row.error, row.finished = ScoringState.FAILED.value, reason[:1000], now


def get_scoring(session: Session, scoring_id: int) -> StoredScoring:
    """Raises NotFound."""
    return _stored(session, _get_row(session, scoring_id))


def lock_scoring(session: Session, scoring_id: int) -> StoredScoring:
    """A scoring whose other writers wait until this transaction ends. On SQLite a writing transaction is alone anyway.

    Raises NotFound.
    """
    session.execute(select(ScoringRow.id).where(ScoringRow.id == scoring_id).with_for_update())
    return get_scoring(session, scoring_id)


def find_latest_scoring(session: Session, image_id: int) -> StoredScoring | None:
    row = session.scalars(_latest_of([image_id])).first()
    return _stored(session, row) if row else None


def find_result_before(session: Session, scoring_id: int) -> StoredScoring | None:
    """The result that an image had before it was scored again: its last done scoring before this one."""
    row = _get_row(session, scoring_id)
    earlier = select(ScoringRow).where(
        ScoringRow.image_id == row.image_id, ScoringRow.id < row.id, ScoringRow.state == ScoringState.DONE.value
    )
    found = session.scalars(earlier.order_by(ScoringRow.id.desc()).limit(1)).first()
    return _stored(session, found) if found else None


def count_open_scorings(session: Session) -> int:
    """Scorings that are queued or running."""
    is_open = ScoringRow.state.in_([ScoringState.QUEUED.value, ScoringState.RUNNING.value])
    return session.scalar(select(func.count()).where(is_open)) or 0


def list_scoring_ids(session: Session, image_id: int) -> list[int]:
    """All scorings of an image, imports among them, in the order in which they were asked for."""
    return list(session.scalars(select(ScoringRow.id).where(ScoringRow.image_id == image_id).order_by(ScoringRow.id)))


def list_latest_scorings(session: Session, image_ids: list[int]) -> dict[int, StoredScoring]:
    """The latest scoring of each of the given images that has one."""
    return {row.image_id: _stored(session, row) for row in session.scalars(_latest_of(image_ids))}


def get_nuclei(session: Session, scoring_id: int) -> bytes:
    """Packed candidates of a done scoring. Raises NotFound while there are none."""
    packed = session.scalar(select(ScoringRow.nuclei).where(ScoringRow.id == scoring_id))
    if packed is None:
        raise NotFound(f"Scoring {scoring_id} has no result (yet): wait until it is done.")
    return packed


def _latest_of(image_ids: list[int]) -> Select[ScoringRow]:
    latest = select(func.max(ScoringRow.id)).where(ScoringRow.image_id.in_(image_ids)).group_by(ScoringRow.image_id)
    return select(ScoringRow).where(ScoringRow.id.in_(latest))


def _get_row(session: Session, scoring_id: int) -> ScoringRow:
    row = session.get(ScoringRow, scoring_id)
    if row is None:
        raise NotFound(f"There is no scoring {scoring_id}.")
    return row


def _stored(session: Session, row: ScoringRow) -> StoredScoring:
    state = ScoringState(row.state)
    done, recent = row.tiles_total or 0, []
    if state in (ScoringState.QUEUED, ScoringState.RUNNING):
        done = session.scalar(select(func.count()).where(TileRow.scoring_id == row.id)) or 0
        finished = select(TileRow.finished).where(TileRow.scoring_id == row.id).order_by(TileRow.finished.desc())
        recent = [*session.scalars(finished.limit(RECENT)), *([row.started] if row.started else [])][:RECENT][::-1]
    counts = version = None
    if row.positive is not None and row.negative is not None and row.other is not None:
        counts = Counts(row.positive, row.negative, row.other)
        version = VersionUsed(
            row.version_name or "", row.version_sha256 or "", tuple(row.thresholds or ()), row.app_version or "",
            Confidence(*row.confidence) if row.confidence else None,
        )  # fmt: skip
    return StoredScoring(
        row.id, row.image_id, state, PixelSize(row.mpp, row.mpp_source), done, row.tiles_total,
        row.queued, row.started, row.finished, row.error, counts, version,
        tuple(Oddity(value) for value in row.oddities), row.confirmed, row.traits, tuple(recent),
    )  # fmt: skip
