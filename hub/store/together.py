"""Group commit: threads that write to one SQLite file at the same moment share one commit, and so one fsync."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine


class Writers:
    """Lets one write at a time into a shared transaction; the last of those who came meanwhile commits for all.

    Each write has a savepoint of its own, so that one that fails takes nothing of the others with it. It sees what
    those before it in the group wrote: they become durable together, or none does. Nobody may wait for another thread
    while he writes. Queueing here is quick; SQLite's own busy handler sleeps and polls.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._turn = threading.Lock()  # held by whoever writes or commits
        self._counting = threading.Lock()
        self._coming = 0  # how many wait for their turn
        self._group: _Group | None = None

    @contextlib.contextmanager
    def write(self) -> Iterator[Connection]:
        """A write that is durable when this returns, and never happened if it raises."""
        self._take_turn()
        try:
            if self._group is None:
                self._group = _Group(self._engine)
            group = self._group
            with group.savepoint():
                yield group.connection
        finally:
            self._pass_on()
        group.wait()

    def _take_turn(self) -> None:
        with self._counting:
            self._coming += 1
        interrupted = True
        try:
            self._turn.acquire()
            interrupted = False
        finally:
            if interrupted:  # by Ctrl-C; but whoever left the commit to us would wait for ever
                self._turn.acquire()
            with self._counting:
                self._coming -= 1
            if interrupted:
                self._pass_on()

    def _pass_on(self) -> None:
        """Let the next one write; where nobody is coming, or all is lost, the group ends here."""
        group = self._group
        try:
            if group is not None and (group.is_lost or not self._coming):
                self._group = None
                group.end()
        finally:
            self._turn.release()


def begin(connection: Connection, how: str) -> None:
    """Begin a transaction of SQLite's; by an event of the engine's it would make every statement slower."""
    try:
        connection.connection.cursor().execute(how)
    except sqlite3.Error as error:
        raise sa.exc.OperationalError(how, None, error) from error


class _Group:
    """Writes that become durable together."""

    def __init__(self, engine: Engine) -> None:
        self.connection = engine.connect()
        try:  # at once with the lock: a read that turns into a write could otherwise fail in the middle
            self.connection.begin()
            begin(self.connection, "BEGIN IMMEDIATE")
        except BaseException:
            self.connection.close()
            raise
        driver: Any = self.connection.connection.dbapi_connection
        self._driver: sqlite3.Connection = driver
        self._ended: threading.Event = threading.Event()
        self._failure: sqlite3.Error | None = None

    @property
    def is_lost(self) -> bool:
        """Whether SQLite has taken everything back by itself, as it does when the disk is full."""
        return not self._driver.in_transaction

    @contextlib.contextmanager
    def savepoint(self) -> Iterator[None]:
        """What is written in here is undone alone if it raises."""
        self._driver.execute("SAVEPOINT one")
        try:
            yield
            self._driver.execute("RELEASE one")
        except BaseException as error:
            if self.is_lost:
                cause = getattr(error, "orig", error)
                self._failure = cause if isinstance(cause, sqlite3.Error) else sqlite3.OperationalError("it was undone")
            else:
                self._driver.execute("ROLLBACK TO one")
                self._driver.execute("RELEASE one")
            raise

    def end(self) -> None:
        """Commit; whatever comes, everyone learns how it ended."""
        try:
            if self._failure is None:
                # Not SQLAlchemy's commit: at a Ctrl-C that drops the connection, and nobody knows whether it was made.
                self._driver.commit()
        except sqlite3.Error as error:
            self._failure = error
        finally:
            if self._driver.in_transaction and self._failure is None:
                self._failure = sqlite3.OperationalError("the commit was cut off")
            try:
                self.connection.close()  # and roll back what is not committed
            finally:
                self._ended.set()

    def wait(self) -> None:
        """Return when it is durable; raises SQLAlchemy's OperationalError with what kept it from becoming so."""
        self._ended.wait()
        if self._failure is not None:
            raise sa.exc.OperationalError("COMMIT", None, self._failure)
