"""A ledger's state file: what this machine knows of the ledger, outside the database and outside every backup of it.

The first line says which ledger is meant and where it lies; each further line is a mark: so many attempts has a
connection begun. A restored backup has forgotten its last attempts; this file has not. It is appended to and synced
before anything goes to the wire. Threads that come at the same time share one sync, and processes share the file.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import threading
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import TypeAdapter

from hub import durable

_LARGE = 65_536  # bytes; a file that has grown past this is written anew, with one line a mark


class DamagedError(Exception):
    """A state file does not read as one; it is not made anew, for what it knew is lost."""


@dataclass(frozen=True)
class Header:
    """Which ledger a state file speaks of, and where that ledger lay when it was armed."""

    instance: str
    host: str
    place: str


_HEADER = TypeAdapter(Header)


class Marks:
    """One ledger's state file. Threads share it."""

    def __init__(self, path: Path, header: Header, known: Mapping[str, int]) -> None:
        self.path = path
        self.header = header
        self._known = dict(known)
        self._asked: dict[str, int] = {}
        self._turn = threading.Condition()
        self._writing = False

    @classmethod
    def make(cls, path: Path, header: Header, known: Mapping[str, int]) -> Marks:
        """A new state file; durable when this returns. Raises OSError."""
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        durable.write_whole(path, _as_bytes(header, known))
        durable.landed("marks.made")
        return cls(path, header, known)

    @classmethod
    def read(cls, path: Path) -> Marks:
        """The state file as it stands, with a torn last line cut off. Raises OSError (not writable too), DamagedError.

        A line that a power cut tore off was never answered for: nothing had gone to the wire yet.
        """
        with _locked(path):
            content = path.read_bytes()
            header, known = _parsed(path, content)
            if len(content) > _LARGE or not content.endswith(b"\n"):
                durable.write_whole(path, _as_bytes(header, known))
                durable.landed("marks.tidied")
        return cls(path, header, known)

    def known(self) -> dict[str, int]:
        """The highest mark of each, as far as it is durable."""
        with self._turn:
            return dict(self._known)

    def raise_to(self, key: str, mark: int) -> None:
        """So far has this come; durable when this returns. Raises OSError, and then it may not go out."""
        with self._turn:
            self._asked[key] = max(mark, self._asked.get(key, 0))
            while self._known.get(key, 0) < mark:
                if self._writing:
                    self._turn.wait()
                    continue
                self._write()

    def _write(self) -> None:
        """Make all that was asked for durable, with one sync; whoever comes meanwhile waits for the next."""
        asked = {key: mark for key, mark in self._asked.items() if mark > self._known.get(key, 0)}
        self._writing = True
        self._turn.release()
        try:
            with _locked(self.path) as file:
                _append(file, _lines(asked))
        finally:
            self._turn.acquire()
            self._writing = False
            self._turn.notify_all()
        self._known |= asked


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[int]:
    """The file, open for appending; never made here. Nobody puts another in its place meanwhile."""
    while True:
        file = os.open(path, os.O_WRONLY | os.O_APPEND)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            if os.path.samestat(os.fstat(file), path.stat()):
                yield file
                return
        finally:
            os.close(file)  # lets go of the lock too


def _append(file: int, lines: bytes) -> None:
    """Write them whole and durably, or leave the file as it was. Raises OSError."""
    before = os.fstat(file).st_size
    written = os.write(file, lines)
    if written < len(lines):
        os.ftruncate(file, before)
        durable.landed("marks.taken-back")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    os.fdatasync(file)
    durable.landed("marks.raised")


def _as_bytes(header: Header, known: Mapping[str, int]) -> bytes:
    return json.dumps(asdict(header)).encode() + b"\n" + _lines(known)


def _lines(known: Mapping[str, int]) -> bytes:
    return b"".join(json.dumps([key, mark]).encode() + b"\n" for key, mark in known.items())


def _parsed(path: Path, content: bytes) -> tuple[Header, dict[str, int]]:
    *lines, _torn = content.split(b"\n")
    known: dict[str, int] = {}
    number = 1
    try:
        header = _HEADER.validate_json(lines[0])
        for number, line in enumerate(lines[1:], 2):  # noqa: B007 - told below
            key, mark = json.loads(line)
            known[str(key)] = max(int(mark), known.get(str(key), 0))
    except (ValueError, TypeError, IndexError):  # pydantic's complaints are ValueErrors
        raise DamagedError(f"the state file {path} is damaged in line {number}") from None
    return header, known
