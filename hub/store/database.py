"""One database: SQLite in a file (the default) or PostgreSQL; the same tables, the same guarantees."""

from __future__ import annotations

import contextlib
import importlib.resources
import sqlite3
import threading
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.config import Config as AlembicConfig
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import event
from sqlalchemy.engine import URL, Connection, make_url

BUSY_SECONDS = 30


class StoreError(Exception):
    """The database cannot be used now; says what and what to do. Nothing was written."""


class Database:
    """Reads and writes in transactions of their own. Threads share it."""

    def __init__(self, url: str | URL) -> None:
        self.url = make_url(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self.engine = sa.create_engine(self.url, **({} if self.is_sqlite else {"pool_size": 20, "max_overflow": 60}))
        # SQLite has one writer at a time. Queueing here is fair and quick; its own busy handler sleeps and polls.
        self._writer = threading.Lock() if self.is_sqlite else contextlib.nullcontext()
        if self.is_sqlite:
            event.listen(self.engine, "connect", _set_up_sqlite)
            event.listen(self.engine, "begin", _begin_sqlite)
        self._writing = self.engine.execution_options(hub_write=True)

    @contextlib.contextmanager
    def reading(self) -> Iterator[Connection]:
        """A consistent read; raises StoreError if the database cannot be had."""
        with _explained(self.url), self.engine.connect() as connection:
            yield connection

    @contextlib.contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that is durable when this returns, and never happened if it raises."""
        with _explained(self.url), self._writer, self._writing.begin() as connection:
            yield connection

    def migrate(self) -> None:
        """Bring the tables to this version's; raises StoreError for a database of a newer version."""
        config = AlembicConfig()
        config.set_main_option("script_location", str(importlib.resources.files("hub.store") / "migrations"))
        scripts = ScriptDirectory.from_config(config)
        with self.reading() as connection:
            now = MigrationContext.configure(connection).get_current_revision()
        if now == scripts.get_current_head():
            return
        if now is not None and now not in {script.revision for script in scripts.walk_revisions()}:
            raise StoreError(f"{self}: made by a newer version of the hub (revision {now}); update the hub")
        with self.writing() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")

    def close(self) -> None:
        """Give back every connection."""
        self.engine.dispose()

    def __str__(self) -> str:
        return self.url.render_as_string(hide_password=True)

    def __repr__(self) -> str:
        return f"Database({self})"


def _set_up_sqlite(raw: sqlite3.Connection, _record: Any) -> None:
    raw.isolation_level = None  # the driver begins nothing by itself; `_begin_sqlite` does
    for pragma in (
        f"busy_timeout = {BUSY_SECONDS * 1000}",
        "journal_mode = WAL",
        "synchronous = FULL",
        "foreign_keys = ON",
    ):
        raw.execute(f"PRAGMA {pragma}").close()


def _begin_sqlite(connection: Connection) -> None:
    # A write takes the lock at once: a read that turns into a write could otherwise fail in the middle.
    writes = connection.get_execution_options().get("hub_write")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


# SQLite's words, and what a person can do.
_SQLITE_HELP = {
    "database is locked": f"another program has held the database for {BUSY_SECONDS} s; end it and try again",
    "database or disk is full": "the disk is full; free some space and run the same command again",
    "disk I/O error": "the disk reports an error; look at the system's log",
    "file is not a database": "the file is no SQLite database; see `database` in hub.yaml",
    "attempt to write a readonly database": "the file or its folder is read-only; see its permissions",
    "unable to open database file": "the file cannot be opened; see its folder and permissions",
}


@contextlib.contextmanager
def _explained(url: URL) -> Iterator[None]:
    try:
        yield
    except sa.exc.OperationalError as error:
        cause = str(error.orig)
        fix = next((fix for words, fix in _SQLITE_HELP.items() if words in cause), cause.splitlines()[0])
        raise StoreError(f"{url.render_as_string(hide_password=True)}: {fix}") from error
    except sa.exc.DatabaseError as error:
        if "file is not a database" not in str(error.orig):
            raise
        raise StoreError(f"{url.database}: {_SQLITE_HELP['file is not a database']}") from error
