"""The high-water marks outside the database: how many attempts each connection has begun, as this machine knows it.

A restored backup has forgotten its last attempts; this file, which no backup of the workspace holds, has not. It is
appended to and fsynced before anything goes to the wire; threads that come at the same time share one fsync.
"""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

from hub.durable import landed


class Marks:
    """One instance's file of marks. Threads share it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._known: dict[str, int] = {}
        self._asked: dict[str, int] = {}
        self._turn = threading.Condition()
        self._writing = False

    def raise_to(self, connection: str, mark: int) -> None:
        """A connection has come so far; durable when this returns. Raises OSError, and then it may not go out."""
        with self._turn:
            self._asked[connection] = max(mark, self._asked.get(connection, 0))
            while self._known.get(connection, 0) < mark:
                if self._writing:
                    self._turn.wait()
                    continue
                self._write()
        landed("marks.raised")

    def _write(self) -> None:
        """Make all that was asked for durable, with one fsync; whoever comes meanwhile waits for the next."""
        asked = {key: mark for key, mark in self._asked.items() if mark > self._known.get(key, 0)}
        self._writing = True
        self._turn.release()
        try:
            with self.path.open("ab") as file:
                file.write(b"".join(json.dumps([key, mark]).encode() + b"\n" for key, mark in asked.items()))
                file.flush()
                os.fdatasync(file.fileno())
        finally:
            self._turn.acquire()
            self._writing = False
            self._turn.notify_all()
        self._known |= asked
