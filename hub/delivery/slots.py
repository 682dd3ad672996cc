"""How many pieces of work are under way at once at one portal, counted over all processes.

A connection has as many slots as calls may be in flight. Who works holds one of them, and the system lets go of it when
its holder dies: file locks beside a SQLite database, locks of a session of its own on PostgreSQL. Who must wait for one
holds the connection's turnstile, and nobody passes him: so whoever takes slots again and again keeps nobody out.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol, TypeVar

import psycopg
import sqlalchemy as sa

from hub.contract.errors import Scope, Transient
from hub.contract.status import Delivered
from hub.store.database import Database, StoreError

T = TypeVar("T")
_LOOK = 0.05  # seconds after which what another process holds is tried again
# A machine that vanished is noticed after so many seconds of silence, and its slots are free (tcp(7)).
_NOTICED = ("tcp_keepalives_idle = 20", "tcp_keepalives_interval = 10", "tcp_keepalives_count = 3")


class Locks(Protocol):
    """Named locks, each held by one process at most, that end with it. Raises StoreError if none can be had."""

    def take(self, name: str, *, past: str | None = None) -> bool:
        """Whether the lock is ours now; not while another process holds the one called `past`."""

    def give_back(self, name: str) -> None:
        """Let go of a lock that is ours."""

    def close(self) -> None:
        """Let go of everything."""


def locks_beside(db: Database) -> Locks:
    """The locks of all who work this database."""
    return FileLocks(db) if db.is_sqlite else SessionLocks(db)


class FileLocks:
    """Locked files in a folder beside a SQLite database; empty, and kept."""

    def __init__(self, db: Database) -> None:
        file = Path(str(db.url.database)).resolve()  # the same folder, whichever link leads to the database
        self._folder = file.with_name(f"{file.name}.slots")
        self._open: dict[str, int] = {}

    def take(self, name: str, *, past: str | None = None) -> bool:
        """Whether the file is locked by us now."""
        if past is None:
            return self._lock(name, fcntl.LOCK_EX)
        if not self._lock(past, fcntl.LOCK_SH):
            return False
        try:
            return self._lock(name, fcntl.LOCK_EX)
        finally:
            self.give_back(past)

    def give_back(self, name: str) -> None:
        """Unlock it."""
        if (handle := self._open.get(name)) is not None:  # else all was closed, and with it this one
            fcntl.flock(handle, fcntl.LOCK_UN)

    def close(self) -> None:
        """Close every file."""
        while self._open:
            os.close(self._open.popitem()[1])

    def _lock(self, name: str, how: int) -> bool:
        try:
            if name not in self._open:
                self._folder.mkdir(exist_ok=True)
                self._open[name] = os.open(self._folder / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            fcntl.flock(self._open[name], how | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            raise StoreError(f"{self._folder}: {error.strerror}; see the folder's permissions and the disk") from error
        return True


class SessionLocks:
    """Advisory locks of one session of PostgreSQL, that ends with the process."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._session: psycopg.Connection[Any] | None = None
        self._one = threading.Lock()

    def take(self, name: str, *, past: str | None = None) -> bool:
        """Whether our session has the lock now."""
        if past is None:
            return self._say("SELECT pg_try_advisory_lock(%s)", _number(name))
        looked = "CASE WHEN pg_try_advisory_xact_lock_shared(%s) THEN pg_try_advisory_lock(%s) ELSE false END"
        return self._say(f"SELECT {looked}", _number(past), _number(name))

    def give_back(self, name: str) -> None:
        """Let go of it."""
        if self._session is not None:  # else the lock is gone with it
            with contextlib.suppress(StoreError):
                self._say("SELECT pg_advisory_unlock(%s)", _number(name))

    def close(self) -> None:
        """End the session."""
        with self._one:
            self._end()

    def _say(self, question: str, *names: int) -> bool:
        with self._one:
            try:
                if self._session is None:
                    self._session = self._open()
                row = self._session.execute(question, names).fetchone()
            except (sa.exc.SQLAlchemyError, psycopg.Error) as error:
                self._end()
                cause = str(getattr(error, "orig", None) or error).partition("\n")[0]
                raise StoreError(f"{self._db}: {cause}") from error
            return row is not None and bool(row[0])

    def _open(self) -> psycopg.Connection[Any]:
        lent = self._db.engine.raw_connection()
        session: psycopg.Connection[Any] = lent.driver_connection  # type: ignore[assignment]
        lent.detach()  # never back to the pool: what it holds would be held for good
        session.autocommit = True
        for setting in _NOTICED:
            session.execute(f"SET {setting}")
        return session

    def _end(self) -> None:
        if self._session is not None:
            session, self._session = self._session, None
            session.close()


def _number(name: str) -> int:
    """PostgreSQL's advisory locks are called by 64-bit numbers."""
    return int.from_bytes(hashlib.sha256(f"slot {name}".encode()).digest()[:8], signed=True)


class Slots:
    """The slots of one connection. Threads share it."""

    def __init__(self, connection: str, locks: Locks, cancel: threading.Event) -> None:
        self._connection = connection
        self._locks = locks
        self._cancel = cancel
        self._not_ours: list[str] | None = None  # that no thread of this process holds; the last that one held first
        self._next = threading.Lock()

    @contextlib.contextmanager
    def one(self, of: int, *, left: Callable[[], float]) -> Iterator[None]:
        """Hold one of so many slots.

        Raises Transient (delivered: no) if none is free for `left()` seconds, or a stop is called; StoreError.
        """
        self._wait_for(lambda: self._next.acquire(timeout=_LOOK) or None, left)
        try:
            slot = self._take(of, left)
        finally:
            self._next.release()
        try:
            yield
        finally:
            self._locks.give_back(slot)
            self._free(of).insert(0, slot)

    def _take(self, of: int, left: Callable[[], float]) -> str:
        turnstile = f"{self._connection}.next"
        slot = self._first_free(of, past=turnstile)
        if slot is not None:
            return slot
        self._wait_for(lambda: self._locks.take(turnstile) or None, left)
        try:
            return self._wait_for(lambda: self._first_free(of), left)
        finally:
            self._locks.give_back(turnstile)

    def _first_free(self, of: int, *, past: str | None = None) -> str | None:
        for slot in tuple(self._free(of)):
            if self._locks.take(slot, past=past):
                self._free(of).remove(slot)
                return slot
        return None

    def _free(self, of: int) -> list[str]:
        if self._not_ours is None:
            self._not_ours = [f"{self._connection}.{number}" for number in range(of)]
        return self._not_ours

    def _wait_for(self, tried: Callable[[], T | None], left: Callable[[], float]) -> T:
        """What `tried` comes to, once that is something."""
        while (got := tried()) is None:
            if self._cancel.is_set():  # that says nothing of the portal: its breaker counts no failure
                raise Transient("not asked: the hub is stopping", delivered=Delivered.NO, scope=Scope.INVOICE)
            if left() <= 0:
                raise Transient(
                    f"not asked: as many calls as {self._connection} allows were under way all the time",
                    delivered=Delivered.NO,
                    scope=Scope.INVOICE,
                )
            self._cancel.wait(_LOOK)
        return got
