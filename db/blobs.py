"""Content-addressed bytes: a blob's name is its SHA-256, so the same bytes are kept once and can be checked."""

from __future__ import annotations

import hashlib
import os
import uuid
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import fsspec
from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem

from nucleus_app.errors import NotFound, StorageFull, is_disk_full

LEFT_BEHIND = timedelta(days=1)


class BlobStore:
    """Blobs under an fsspec URL: a local folder, or an object store by configuration."""

    def __init__(self, url: str) -> None:
        self._files: fsspec.AbstractFileSystem
        self._files, root = url_to_fs(url)
        self._root = str(root).rstrip("/")

    def put(self, content: bytes) -> str:
        """Keep bytes; returns their name. A crash leaves the whole blob or none."""
        name = hashlib.sha256(content).hexdigest()
        if self._is_sound(name, content):
            return name
        path = self._path(name)
        partial = f"{self._root}/partial/{uuid.uuid4().hex}"
        try:
            self._files.makedirs(path.rsplit("/", 1)[0], exist_ok=True)
            self._files.makedirs(f"{self._root}/partial", exist_ok=True)
            self._files.pipe_file(partial, content)
            self._sync(partial)
            self._files.mv(partial, path)
            self._sync(path.rsplit("/", 1)[0])
        except OSError as error:
            if self._files.exists(partial):
                self._files.rm(partial)
            if is_disk_full(error):
                raise StorageFull from error
            raise
        return name

    def sweep(self) -> None:
        """Remove what writers left behind that were killed in the middle, at least a day ago."""
        folder, before = f"{self._root}/partial", datetime.now(UTC) - LEFT_BEHIND
        for path in self._files.ls(folder, detail=False) if self._files.exists(folder) else ():
            # Another process may sweep, too, and a store may know no times.
            with suppress(FileNotFoundError, NotImplementedError):
                if self._files.modified(path) < before:
                    self._files.rm(path)

    def _sync(self, path: str) -> None:
        """Wait until a local file or folder is on the disk: the database may name it the next moment, and a power cut may
        follow. Object stores answer only when they have it.
        """
        if not isinstance(self._files, LocalFileSystem):
            return
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    def discard(self, name: str) -> None:
        """Forget a blob; one that is not there is fine."""
        if self.holds(name):
            self._files.rm(self._path(name))

    def holds(self, name: str) -> bool:
        return bool(self._files.exists(self._path(name)))

    def _is_sound(self, name: str, content: bytes) -> bool:
        """Whether these bytes are kept: a damaged blob is made whole by whoever brings them again."""
        if not self.holds(name) or self._files.size(self._path(name)) != len(content):
            return False
        return bool(self._files.cat_file(self._path(name)) == content)

    def get(self, name: str) -> bytes:
        """The bytes of that name. Raises NotFound when they are gone or damaged."""
        try:
            content: bytes = self._files.cat_file(self._path(name))
        except FileNotFoundError as error:
            raise NotFound(f"Image data {name[:12]}… is missing from the store: restore it from a backup.") from error
        if hashlib.sha256(content).hexdigest() != name:
            raise NotFound(f"Image data {name[:12]}… is damaged: restore it from a backup.")
        return content

    def _path(self, name: str) -> str:
        return f"{self._root}/{name[:2]}/{name}"
