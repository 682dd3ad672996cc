"""A new workspace on disk: the folder with hub.yaml, the inbox, and its own rules and mappings."""

from __future__ import annotations

import json
from pathlib import Path

from hub.durable import write_whole
from hub.hubfile import FILE, json_schema
from hub.requirements.mapping import mapping_schema
from hub.requirements.rules import rules_schema

_TEMPLATE = Path(__file__).parent / "templates" / FILE
_FOLDERS = ("inbox", "rules", "mappings", "schemas")


class CannotInit(Exception):
    """No workspace was made and nothing was left behind; says why and what to do."""


def init(directory: Path) -> tuple[Path, ...]:
    """Make a workspace and tell what was made, hub.yaml last; an existing one is not touched. Raises CannotInit."""
    file = directory / FILE
    if file.exists() or file.is_symlink():
        raise CannotInit(f"{file} exists already; nothing was changed. Edit it, or name another folder.")
    schemas = {
        Path("schemas", "hub.json"): json_schema(),
        Path("rules", "schema.json"): rules_schema(),
        Path("mappings", "schema.json"): mapping_schema(),
    }
    made: list[Path] = []
    try:
        for name in _FOLDERS:
            _make_folder(directory / name, made)
        whole = {directory / path: json.dumps(schema, indent=2).encode() + b"\n" for path, schema in schemas.items()}
        for path, content in (*whole.items(), (file, _TEMPLATE.read_bytes())):
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
