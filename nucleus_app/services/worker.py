"""The worker: runs scorings as durable workflows, one step a tile. Killed at any moment, it goes on where it was."""

from __future__ import annotations

import fcntl
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import IO

from dbos import DBOS, DBOSConfig
from sqlalchemy.exc import DBAPIError

from db.engine import session_scope
from db.images import get_image
from db.scorings import (
    VersionUsed,
    fail_scoring,
    finish_scoring,
    get_scoring,
    get_started_version,
    put_tile,
    read_tiles,
    start_scoring,
)
from nucleus_app import __version__
from nucleus_app.caches import remove_unused
from nucleus_app.domain.nuclei import CANDIDATE_SHARE
from nucleus_app.domain.oddities import is_refused
from nucleus_app.errors import CheckpointError, NucleusAppError, StorageFull
from nucleus_app.imaging.reader import decode_png
from nucleus_app.kinet.predictor import Field, Predictor
from nucleus_app.services.base_version import keep_base
from nucleus_app.services.carrying import carry_corrections
from nucleus_app.services.familiarity import find_doubts, observe
from nucleus_app.services.jobs import FIND_ROI, JOB_PREFIX, JOB_VERSION, ROI_PREFIX, SCORE_IMAGE, SCORING_QUEUE
from nucleus_app.services.roi import RoiMapper
from nucleus_app.services.serving import Shelf
from nucleus_app.services.workplace import Workplace, open_workplace
from nucleus_app.settings import Settings

SEE_LOG = "The log of the worker has the details; try again, or with a smaller image."
logger = logging.getLogger(__name__)
LOST_JOBS_EVERY_S = 5.0
MAX_RECOVERIES = 5
"""A job that takes its worker down with it is not tried for ever."""

LOST = ["MAX_RECOVERY_ATTEMPTS_EXCEEDED", "ERROR", "CANCELLED"]
GIVEN_UP = f"interrupted more than {MAX_RECOVERIES} times and given up."


class Scorer:
    """The steps of one scoring. Each may run twice (a kill can fall between the work and the note of it)."""

    def __init__(self, workplace: Workplace, shelf: Shelf) -> None:
        self._workplace = workplace
        self._shelf = shelf
        self._mapper = RoiMapper(workplace)
        self._field: tuple[int, Field] | None = None

    def start(self, scoring_id: int) -> int:
        """Read and scale the image, and see whether it is one that the network knows; returns how many tiles to score,
        none where counting would invent tumour and nobody insists.

        Here the version is chosen: the one in service, unless the scoring was begun before.
        """
        with session_scope(self._workplace.engine) as session:
            began_with = get_started_version(session, scoring_id)
        predictor = self._shelf.get(began_with) if began_with else self._shelf.get_current()
        field = self._get_field(scoring_id, predictor)
        odd, traits = observe(predictor, field)
        sha256 = predictor.version.sha256
        with session_scope(self._workplace.engine, write=True) as session:
            insists = get_scoring(session, scoring_id).confirmed
            tiles = 0 if is_refused(odd, confirmed=insists) else len(field.tiles)
            start_scoring(session, scoring_id, tiles, sha256, _now(), oddities=odd, traits=traits)
        return tiles

    def find_in_tile(self, scoring_id: int, tile: int) -> None:
        predictor = self._get_predictor(scoring_id)
        field = self._get_field(scoring_id, predictor)
        self._refuse_other_plan(scoring_id, len(field.tiles))
        nuclei = predictor.with_lower_thresholds(CANDIDATE_SHARE).find_in_tile(field, field.tiles[tile])
        with session_scope(self._workplace.engine, write=True) as session:
            put_tile(session, scoring_id, tile, nuclei, _now())

    def finish(self, scoring_id: int) -> None:
        """Join the tiles and store the result, with what was corrected in the result before."""
        predictor = self._get_predictor(scoring_id)
        version = predictor.version
        used = VersionUsed(version.name, version.sha256, version.thresholds.per_class, __version__, version.confidence)
        field = self._get_field(scoring_id, predictor)
        with session_scope(self._workplace.engine, write=True) as session:
            candidates = predictor.join(field, read_tiles(session, scoring_id))
            odd = find_doubts(candidates.reaching(used.thresholds), used.confidence)
            if finish_scoring(session, scoring_id, candidates, used, _now(), oddities=odd):
                carry_corrections(session, scoring_id, _now())
        self._field = None

    def _get_predictor(self, scoring_id: int) -> Predictor:
        """The version that a scoring began with, whatever is in service now: tiles of two versions never make one result.

        Raises CheckpointError.
        """
        with session_scope(self._workplace.engine) as session:
            began_with = get_started_version(session, scoring_id)
        return self._shelf.get(began_with)

    def _refuse_other_plan(self, scoring_id: int, tiles: int) -> None:
        """Tiles of two plans neither make one: an upgrade may have changed their size while a scoring was under way. Raises NotFound
        for an image that was removed meanwhile.
        """
        with session_scope(self._workplace.engine) as session:
            scoring = get_scoring(session, scoring_id)
            get_image(session, scoring.image_id)
        planned = scoring.tiles_total
        if planned != tiles:
            raise CheckpointError("The app was upgraded while this image was being scored: press Score again.")

    def start_roi(self, scoring_id: int) -> int:
        """How many tiles the map of tumour is made of."""
        return len(self._get_field(scoring_id, self._get_predictor(scoring_id)).tiles)

    def find_roi_in_tile(self, scoring_id: int, tile: int) -> bytes:
        predictor = self._get_predictor(scoring_id)
        return self._mapper.vote(scoring_id, predictor, self._get_field(scoring_id, predictor), tile)

    def finish_roi(self, scoring_id: int, votes: list[bytes]) -> None:
        self._mapper.finish(scoring_id, votes)
        self._field = None

    def fail_roi(self, scoring_id: int, reason: str) -> None:
        self._mapper.fail(scoring_id, reason)

    def give_up_roi(self, scoring_id: int, attempt: int) -> None:
        self._mapper.fail(scoring_id, f"The map was {GIVEN_UP} {SEE_LOG}", attempt)

    def give_up(self, scoring_id: int) -> None:
        self.fail(scoring_id, f"Scoring was {GIVEN_UP} {SEE_LOG}")

    def fail(self, scoring_id: int, reason: str) -> None:
        with session_scope(self._workplace.engine, write=True) as session:
            fail_scoring(session, scoring_id, reason, _now())

    def _get_field(self, scoring_id: int, predictor: Predictor) -> Field:
        """The prepared image of a scoring; the last one is kept, so that tiles do not decode it again."""
        if self._field is None or self._field[0] != scoring_id:
            with session_scope(self._workplace.engine) as session:
                scoring = get_scoring(session, scoring_id)
                image = get_image(session, scoring.image_id)
            rgb = decode_png(self._workplace.blobs.get(image.blob))
            self._field = (scoring_id, predictor.prepare(rgb, scoring.pixel_size.mpp))
        return self._field[1]


@contextmanager
def leaving_without_a_database() -> Iterator[None]:
    """A step that the database refuses, on a full disk or while it is away, has no outcome that could be kept, and neither
    has its failure. So the process ends, whoever keeps it starts it again, and the job goes on at that step, as after a kill.
    """
    try:
        yield
    except (DBAPIError, StorageFull):
        logger.exception(
            "the database cannot be written or reached: this worker ends, and goes on when it is started again"
        )
        logging.shutdown()
        os._exit(1)


@contextmanager
def telling_failures(fail: Callable[[int, str], None], scoring_id: int, what: str, sentence: str) -> Iterator[None]:
    """Around the steps of a job: the step ``fail`` says what went wrong, or the sentence where nobody foresaw it. DBOS keeps
    the outcome of each step in the database, too.
    """
    with leaving_without_a_database():
        try:
            yield
        except (DBAPIError, StorageFull):
            raise
        except NucleusAppError as error:
            fail(scoring_id, str(error))
        except Exception:
            logger.exception("%s %d failed", what, scoring_id)
            fail(scoring_id, f"{sentence} {SEE_LOG}")


def register_workflows(scorer: Scorer) -> None:
    """Tell DBOS the workflow and its steps. Must come before launch, which resumes what was interrupted."""

    @DBOS.step(name="start")
    @leaving_without_a_database()
    def start(scoring_id: int) -> int:
        return scorer.start(scoring_id)

    @DBOS.step(name="find_in_tile")
    @leaving_without_a_database()
    def find_in_tile(scoring_id: int, tile: int) -> None:
        scorer.find_in_tile(scoring_id, tile)

    @DBOS.step(name="finish")
    @leaving_without_a_database()
    def finish(scoring_id: int) -> None:
        scorer.finish(scoring_id)

    @DBOS.step(name="fail")
    @leaving_without_a_database()
    def fail(scoring_id: int, reason: str) -> None:
        scorer.fail(scoring_id, reason)

    @DBOS.workflow(name=SCORE_IMAGE, max_recovery_attempts=MAX_RECOVERIES)
    def score_image(scoring_id: int) -> None:
        with telling_failures(fail, scoring_id, "scoring", "Scoring failed unexpectedly."):
            for tile in range(start(scoring_id)):
                find_in_tile(scoring_id, tile)
            finish(scoring_id)


def register_roi_workflow(scorer: Scorer) -> None:
    """The map of tumour: a workflow of its own, on the same queue. What its tiles give is kept with their steps."""

    @DBOS.step(name="start_roi")
    @leaving_without_a_database()
    def start_roi(scoring_id: int) -> int:
        return scorer.start_roi(scoring_id)

    @DBOS.step(name="find_roi_in_tile")
    @leaving_without_a_database()
    def find_roi_in_tile(scoring_id: int, tile: int) -> bytes:
        return scorer.find_roi_in_tile(scoring_id, tile)

    @DBOS.step(name="finish_roi")
    @leaving_without_a_database()
    def finish_roi(scoring_id: int, votes: list[bytes]) -> None:
        scorer.finish_roi(scoring_id, votes)

    @DBOS.step(name="fail_roi")
    @leaving_without_a_database()
    def fail_roi(scoring_id: int, reason: str) -> None:
        scorer.fail_roi(scoring_id, reason)

    @DBOS.workflow(name=FIND_ROI, max_recovery_attempts=MAX_RECOVERIES)
    def find_roi(scoring_id: int) -> None:
        with telling_failures(fail_roi, scoring_id, "the map of scoring", "The map could not be made."):
            votes = [find_roi_in_tile(scoring_id, tile) for tile in range(start_roi(scoring_id))]
            finish_roi(scoring_id, votes)


def take_slot(settings: Settings) -> IO[bytes]:
    """Hold this machine's lock of the worker slot for as long as the process lives; wait while another holds it.

    Two processes in one slot would each take the other's running job for one that was interrupted.
    """
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    lock = (settings.data_dir / f"{settings.worker_slot}.lock").open("wb")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        logger.warning("another worker holds slot %s; waiting for it to end", settings.worker_slot)
        fcntl.flock(lock, fcntl.LOCK_EX)
    return lock


def give_up_on_lost_jobs(scorer: Scorer) -> None:
    """Mark as failed what was tried too often, so that no case says "running" for ever."""
    for job in DBOS.list_workflows(status=LOST, name=SCORE_IMAGE):
        scorer.give_up(int(job.workflow_id.removeprefix(JOB_PREFIX)))
    for job in DBOS.list_workflows(status=LOST, name=FIND_ROI):
        scoring_id, _, attempt = job.workflow_id.removeprefix(ROI_PREFIX).partition("-")
        scorer.give_up_roi(int(scoring_id), int(attempt or 1))


def run_worker(settings: Settings, *, until_stdin_closes: bool) -> None:
    """Serve the scoring queue until stopped, or until whoever started it goes away and its pipe closes."""
    if until_stdin_closes:
        threading.Thread(target=_end_with_parent, daemon=True).start()
    lock = take_slot(settings)
    workplace = open_workplace(settings)
    remove_unused(settings.networks_dir)
    keep_base(workplace)
    shelf = Shelf(workplace)
    version = shelf.get_current().version
    scorer = Scorer(workplace, shelf)
    config: DBOSConfig = {
        "name": "nucleus",
        "system_database_url": workplace.engine.url.render_as_string(hide_password=False),
        "executor_id": settings.worker_slot,
        "application_version": JOB_VERSION,
        "log_level": "WARNING",
        "run_migrations": False,
        "enable_otlp": False,
    }
    DBOS(config=config)
    register_workflows(scorer)
    register_roi_workflow(scorer)
    DBOS.launch()
    DBOS.register_queue(SCORING_QUEUE, worker_concurrency=1, polling_interval_sec=0.2, on_conflict="always_update")
    logger.info("worker %s serves version %s, lock %s", settings.worker_slot, version.name, lock.name)
    while True:
        try:
            give_up_on_lost_jobs(scorer)
        except Exception as error:  # the database may be away for a while
            logger.warning("lost jobs cannot be looked for: %s", type(error).__name__)
        time.sleep(LOST_JOBS_EVERY_S)


def _end_with_parent() -> None:
    while os.read(sys.stdin.fileno(), 4096):  # not by its buffer, which a daemon thread would hold for ever
        pass
    os._exit(0)  # the parent is gone: stop at once, unfinished steps are repeated by the next worker


def _now() -> datetime:
    return datetime.now(UTC)
