"""FileReading files for a look, without storing anything: what `hub read` shows."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from hub.sources.read import Refused, read


@dataclass(frozen=True)
class FileReading:
    """What became of reading one file."""

    file: str
    outcome: str  # read or refused
    number: str | None = None
    kind: str | None = None
    currency: str | None = None
    total: str | None = None  # with tax, BT-112
    reason: str | None = None

    def as_json(self) -> dict[str, str | None]:
        """For `--json`."""
        return asdict(self)

    def as_line(self) -> str:
        """For people."""
        if self.outcome == "refused":
            return f"refused  {self.file}: {self.reason}"
        return f"read     {self.file}: {self.kind} {self.number}, {self.total} {self.currency}"


def read_paths(paths: Iterable[Path]) -> Iterator[FileReading]:
    """Read each file, and each file in a folder (not in folders within it)."""
    for path in paths:
        yield from _read_folder(path) if path.is_dir() else [_read_one(path)]


def _read_folder(folder: Path) -> Iterator[FileReading]:
    try:
        files = sorted(file for file in folder.iterdir() if file.is_file())
    except OSError as error:
        yield _refused(folder, f"cannot be read: {error.strerror}")
        return
    if not files:
        yield _refused(folder, "no file is in this folder; folders within it are not looked into")
    yield from map(_read_one, files)


def _read_one(path: Path) -> FileReading:
    try:
        invoice = read(path).invoice
    except Refused as refused:
        return _refused(path, str(Refused(refused.reason, refused.place)))
    except OSError as error:
        return _refused(path, f"cannot be read: {error.strerror}")
    return FileReading(
        _shown(path), "read", invoice.number, invoice.kind, invoice.currency, f"{invoice.total.amount:f}"
    )


def _refused(path: Path, reason: str) -> FileReading:
    return FileReading(_shown(path), "refused", reason=reason)


def _shown(path: Path) -> str:
    """A path as text, also where its name is none."""
    return os.fsencode(path).decode(errors="replace")
