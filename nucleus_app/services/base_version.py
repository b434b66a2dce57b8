"""The weights that a store begins with: those of the settings, or the shipped ones. Read without torch."""

from __future__ import annotations

from datetime import UTC, datetime

from db.engine import full_disk_as_error, session_scope
from db.versions import StoredVersion, add_version
from nucleus_app.kinet.checkpoint import Version, load_version
from nucleus_app.services.weight_files import find_base_path
from nucleus_app.services.workplace import Workplace


def register_base(workplace: Workplace) -> StoredVersion:
    """Keep the base among the versions of the store, its file as a blob, so that one can go back to it even after an upgrade
    that ships another. Again is fine. Raises CheckpointError.
    """
    path = find_base_path(workplace.settings)
    base = load_version(path)
    content = path.read_bytes()
    stored = describe_base(base, len(content))
    workplace.blobs.put(content)
    with full_disk_as_error(), session_scope(workplace.engine, write=True) as session:
        add_version(session, stored)
    return stored


def describe_base(base: Version, size_bytes: int) -> StoredVersion:
    return StoredVersion(
        base.sha256, base.name[:100], None, None, _parse_instant(base.provenance.created), size_bytes, {}
    )


def _parse_instant(text: str) -> datetime:
    """When weights were made, as their file says it; this moment where it does not."""
    try:
        made = datetime.fromisoformat(text)
    except ValueError:
        return datetime.now(UTC)
    return made if made.tzinfo else made.replace(tzinfo=UTC)
