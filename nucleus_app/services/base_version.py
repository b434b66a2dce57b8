"""The weights that a store begins with: those of the settings, or the shipped ones. Read without torch."""

from __future__ import annotations

import logging

from db.engine import session_scope
from db.versions import StoredVersion, add_version
from nucleus_app.errors import CheckpointError, NucleusAppError
from nucleus_app.kinet.checkpoint import Version, find_weights, load_version
from nucleus_app.services.workplace import Workplace

logger = logging.getLogger(__name__)


def register_base(workplace: Workplace) -> StoredVersion:
    """Keep the base among the versions of the store, its file as a blob, so that one can go back to it even after an upgrade
    that ships another. Again is fine. Raises CheckpointError.
    """
    path = find_weights(workplace.settings.weights)
    base = load_version(path)
    content = path.read_bytes()
    stored = describe_base(base, len(content))
    workplace.blobs.put(content)
    with session_scope(workplace.engine, write=True) as session:
        add_version(session, stored)
    return stored


def keep_base(workplace: Workplace) -> None:
    """:func:`register_base` for a process that starts, which goes on without: a version that was chosen may serve."""
    try:
        register_base(workplace)
    except NucleusAppError as error:
        logger.warning("the weights that this installation begins with cannot be kept: %s", error)


class BaseFinder:
    """The base, read from its file once."""

    def __init__(self, workplace: Workplace) -> None:
        self._workplace = workplace
        self._found: StoredVersion | None = None

    def find(self) -> StoredVersion | None:
        """None where its file cannot be read, which the worker's log says."""
        if self._found is None:
            path = find_weights(self._workplace.settings.weights)
            try:
                self._found = describe_base(load_version(path), path.stat().st_size)
            except (CheckpointError, OSError):
                return None
        return self._found

    def keep(self, sha256: str) -> None:
        """Make the base a version of the store, if that is what the hash means."""
        base = self.find()
        if base is not None and base.sha256 == sha256:
            register_base(self._workplace)


def describe_base(base: Version, size_bytes: int) -> StoredVersion:
    return StoredVersion(base.sha256, base.name[:100], None, None, base.provenance.made, size_bytes, {})
