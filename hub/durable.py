"""Writing to disk so that it stays written."""

from __future__ import annotations

import os
import secrets
from pathlib import Path


def landed(what: str) -> None:
    """Every durable write calls this with its name as soon as it is durable; between two names a crash may come.

    Nothing is done here. Tests put themselves in its place, to let the process die at each point.
    """


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that whoever looks finds the old content or the new, even after a power cut. Raises OSError."""
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with part.open("xb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable. Raises OSError."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
