"""The archive of bytes: content-addressed files, durable before their name is used anywhere."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from hub import durable
from hub.durable import sync_folder, write_whole

_SHA256 = re.compile(r"[0-9a-f]{64}")


class Blobs:
    """Bytes under their SHA-256, in `folder/ab/cd…`. The same bytes are stored once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._durable: set[Path] = set()

    def path(self, sha256: str) -> Path:
        """Where these bytes lie; ValueError for what is no hash, so that no path can be smuggled in."""
        if not _SHA256.fullmatch(sha256):
            raise ValueError(f"{sha256!r} is no SHA-256")
        return self.folder / sha256[:2] / sha256[2:]

    def put(self, content: bytes) -> str:
        """Store `content`; when this returns its hash, bytes and name are on disk (fsync of file and folder)."""
        sha256 = hashlib.sha256(content).hexdigest()
        path = self.path(sha256)
        if _holds(path, content):
            sync_folder(path.parent)  # whoever stored it may have died between the rename and this
        else:
            self._make_folder(path.parent)
            write_whole(path, content)
        durable.landed("store.blob")
        return sha256

    def read(self, sha256: str) -> bytes:
        """The bytes with this hash; FileNotFoundError if they are gone, ValueError if they are damaged."""
        content = self.path(sha256).read_bytes()
        if hashlib.sha256(content).hexdigest() != sha256:
            raise ValueError(f"{self.path(sha256)} is damaged: its content has another hash")
        return content

    def _make_folder(self, folder: Path) -> None:
        """Durable before a file in it is; a folder that stands may be one whose maker has not come so far yet."""
        if folder not in self._durable:
            folder.mkdir(parents=True, exist_ok=True)
            sync_folder(self.folder)
            sync_folder(self.folder.parent)
            self._durable.add(folder)


def _holds(path: Path, content: bytes) -> bool:
    """Whether the file is there and whole; a damaged one is written anew."""
    try:
        return path.read_bytes() == content
    except FileNotFoundError:
        return False
