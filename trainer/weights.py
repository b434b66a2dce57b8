"""Versions by the SHA-256 of their file: what a run starts from, and what it made."""

from __future__ import annotations

import re
from collections.abc import Iterable

from db.blobs import BlobStore
from nucleus_app.errors import CheckpointError, NotFound
from nucleus_app.kinet.checkpoint import Version, find_weights, load_version, parse_version
from nucleus_app.settings import Settings

PREFIX = "lab-"


class Weights:
    """Reads versions from the blob store, and the weights that a store begins with from their own file."""

    def __init__(self, settings: Settings, blobs: BlobStore) -> None:
        self.base_path = find_weights(settings.weights)
        self._blobs = blobs

    def load_base(self) -> Version:
        """The weights of the settings, or the shipped ones. Raises CheckpointError."""
        return load_version(self.base_path)

    def load(self, sha256: str) -> Version:
        """Raises CheckpointError, with what to do, for weights that are gone or damaged."""
        try:
            return self._load_base(sha256) or parse_version(self._blobs.get(sha256))
        except (NotFound, CheckpointError) as error:
            raise CheckpointError(
                f"The weights of version {sha256[:12]} are missing or damaged ({error}). Put another version in service, "
                "then start the training again."
            ) from error

    def _load_base(self, sha256: str) -> Version | None:
        try:
            base = self.load_base()
        except CheckpointError:  # nobody asked for it, perhaps
            return None
        return base if base.sha256 == sha256 else None


def name_next(names: Iterable[str]) -> str:
    """``lab-1``, ``lab-2`` …: one more than any name of that form so far."""
    numbers = [int(found[1]) for name in names if (found := re.fullmatch(rf"{PREFIX}(\d+)", name))]
    return f"{PREFIX}{max(numbers, default=0) + 1}"
