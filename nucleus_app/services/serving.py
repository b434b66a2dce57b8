"""Which version scores: the one in service, swapped between scorings, and for a scoring under way the one that began it."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime

from db.engine import session_scope
from db.versions import (
    CHOSEN,
    REFUSED,
    StoredActivation,
    activate,
    find_active,
    hold_active,
    list_activations,
    list_refused,
)
from nucleus_app.caches import mark_used
from nucleus_app.errors import CheckpointError, NucleusAppError
from nucleus_app.kinet.checkpoint import Version, find_weights, load_version
from nucleus_app.kinet.predictor import Predictor
from nucleus_app.services.scoring import open_predictor
from nucleus_app.services.workplace import Workplace
from nucleus_app.whole_files import writing_whole

KEPT_OPEN = 2
"""The one in service, and one that a scoring or a map of tumour still needs."""
logger = logging.getLogger(__name__)


class Shelf:
    """Versions, opened when they are needed. Not for use by several threads at once."""

    def __init__(self, workplace: Workplace, open_version: Callable[[Version], Predictor] | None = None) -> None:
        self._workplace = workplace
        self._open_version = open_version or (lambda version: open_predictor(workplace.settings, version))
        self._opened: OrderedDict[str, Predictor] = OrderedDict()
        self._current: Predictor | None = None
        self._base_sha256: str | None = None

    def get_current(self) -> Predictor:
        """What the next scoring begins with: the version in service, or the one before for as long as that cannot be opened.

        Raises CheckpointError where there is none at all.
        """
        with session_scope(self._workplace.engine) as session:
            active = find_active(session)
        if active is None:
            self._current = self._open_base()
        elif self._current is None or self._current.version.sha256 != active.sha256:
            self._current = self._swap(active)
        return self._current

    def get(self, sha256: str | None) -> Predictor:
        """The version that a scoring began with. Raises CheckpointError where it is not to be had any more."""
        try:
            return self._open(sha256 or "")
        except NucleusAppError as error:
            raise CheckpointError(
                "The network is no longer the one that this scoring began with: press Score again."
            ) from error

    def _swap(self, active: StoredActivation) -> Predictor:
        try:
            opened = self._open(active.sha256)
        except Exception:  # whatever is wrong with a new version, scoring goes on
            logger.exception("version %s cannot be opened: the one before stays in service", active.sha256[:12])
            self._note(active, REFUSED)
            return self._open_one_before(active)
        self._note(active, CHOSEN)
        logger.info("version %s is in service", active.sha256[:12])
        return opened

    def _open_one_before(self, active: StoredActivation) -> Predictor:
        """The latest of the versions before that can be opened, or the base: what the page says, whichever worker asks."""
        with session_scope(self._workplace.engine) as session:
            refused = list_refused(session, active) | {active.sha256}
            pointers = [row for row in list_activations(session) if row.id < active.id and row.reason != REFUSED]
        before = [row.sha256 for row in pointers if row.sha256 not in refused]
        for sha256 in filter(None, dict.fromkeys([*before, self._find_base_sha256() or ""])):
            try:
                return self._open(sha256)
            except Exception:
                logger.exception("version %s cannot be opened either", sha256[:12])
                if sha256 in before:
                    self._note(active, REFUSED, sha256)
        if self._current is None:
            raise CheckpointError("No version can be opened: restore the weights, or the blobs from a backup.")
        return self._current

    def _note(self, active: StoredActivation, reason: str, sha256: str = "") -> None:
        """Say once that the active version, or the given one before it, was refused, and once that it could be opened after
        all; nothing where it is not news.
        """
        sha256 = sha256 or active.sha256
        with session_scope(self._workplace.engine, write=True) as session:
            if hold_active(session) != active or (sha256 in list_refused(session, active)) == (reason == REFUSED):
                return
            slot = self._workplace.settings.worker_slot
            activate(session, sha256, slot, datetime.now(UTC), reason, active.run_id)

    def _open_base(self) -> Predictor:
        if self._base_sha256 not in self._opened:
            self._base_sha256 = None  # its file may be another since it was read
        return self._open(self._get_base_sha256())

    def _open(self, sha256: str) -> Predictor:
        predictor = self._opened.get(sha256)
        if predictor is None:
            predictor = self._open_version(self._load(sha256))
            predictor.warm_up()
            self._opened[sha256] = predictor
            while len(self._opened) > KEPT_OPEN:
                self._opened.popitem(last=False)
        self._opened.move_to_end(sha256)
        return predictor

    def _load(self, sha256: str) -> Version:
        """A version by the SHA-256 of its file: the base's own file, what was fetched before, else its blob."""
        if sha256 == self._find_base_sha256():
            base = load_version(find_weights(self._workplace.settings.weights))
            if base.sha256 == sha256:
                return base
            self._base_sha256 = None  # another file lies there now: the next who asks for the base gets that one
        folder = self._workplace.settings.networks_dir
        path = folder / f"{sha256}.safetensors"
        try:
            version = load_version(path)
        except CheckpointError:
            version = None
        if version is None or version.sha256 != sha256:
            with writing_whole(path) as partial:
                partial.write_bytes(self._workplace.blobs.get(sha256))
            version = load_version(path)
        mark_used(folder.glob(f"{version.key}*"))
        return version

    def _find_base_sha256(self) -> str | None:
        try:
            return self._get_base_sha256()
        except CheckpointError:
            return None

    def _get_base_sha256(self) -> str:
        if self._base_sha256 is None:
            self._base_sha256 = load_version(find_weights(self._workplace.settings.weights)).sha256
        return self._base_sha256
