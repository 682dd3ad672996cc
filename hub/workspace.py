"""A workspace on disk: the folder with hub.yaml, the inbox, and its own rules and mappings."""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path

from hub.hubfile import FILE, json_schema

_TEMPLATE = Path(__file__).parent / "templates" / FILE
_FOLDERS = ("inbox", "rules", "mappings", "schemas")


class CannotInit(Exception):
    """No workspace was made and nothing was left behind; says why and what to do."""


def init(directory: Path) -> tuple[Path, ...]:
    """Make a workspace and tell what was made, hub.yaml last; an existing one is not touched. Raises CannotInit."""
    file = directory / FILE
    if file.exists() or file.is_symlink():
        raise CannotInit(f"{file} exists already; nothing was changed. Edit it, or name another folder.")
    schema = json.dumps(json_schema(), indent=2).encode() + b"\n"
    made: list[Path] = []
    try:
        for name in _FOLDERS:
            _make_folder(directory / name, made)
        for path, content in ((directory / "schemas" / "hub.json", schema), (file, _TEMPLATE.read_bytes())):
            new = not path.exists()
            write_whole(path, content)
            made += [path] if new else []
    except OSError as error:
        for path in reversed(made):
            path.rmdir() if path.is_dir() else path.unlink()
        told = f"{error.filename or directory}: {error.strerror}; nothing was made. Mend that, or name another folder."
        raise CannotInit(told) from error
    return tuple(made)


def _make_folder(folder: Path, made: list[Path]) -> None:
    """Make a folder and the missing ones above it."""
    if not folder.parent.exists():
        _make_folder(folder.parent, made)
    if not folder.exists():
        folder.mkdir()
        made.append(folder)
    elif not folder.is_dir():
        raise FileExistsError(0, "is a file, but a folder is needed here", str(folder))


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
