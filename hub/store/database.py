"""One database: SQLite in a file (the default) or PostgreSQL; the same tables, the same guarantees."""

from __future__ import annotations

import contextlib
import importlib.resources
import sqlite3
import time
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.config import Config as AlembicConfig
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, Connection, make_url

from hub import durable
from hub.store.together import Writers, begin

BUSY_SECONDS = 30
_MIGRATING = 0x6875_63  # PostgreSQL's advisory lock: two that start at once migrate one after the other


class StoreError(Exception):
    """The database cannot be used now; says what and what to do. Nothing was written."""


class Database:
    """Reads and writes in transactions of their own. Threads share it."""

    def __init__(self, url: str | URL) -> None:
        self.url = make_url(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        # Parameters hold what invoices and portals say: they stay out of every message.
        self.engine = sa.create_engine(self.url, pool_size=20, max_overflow=60, hide_parameters=True)
        self._writers: Writers | None = None
        if self.is_sqlite:
            event.listen(self.engine, "connect", _set_up)
            self._writers = Writers(self.engine)
        snapshot = {} if self.is_sqlite else {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        self._reading = self.engine.execution_options(**snapshot)

    @contextlib.contextmanager
    def reading(self) -> Iterator[Connection]:
        """A consistent read; raises StoreError if the database cannot be had."""
        with _explained(self.url), self._reading.connect() as connection:
            if self.is_sqlite:
                begin(connection, "BEGIN")
            yield connection

    @contextlib.contextmanager
    def writing(self, what: str) -> Iterator[Connection]:
        """A transaction that is durable when this returns, and never happened if it raises; `what` is its own name."""
        transaction = self.engine.begin() if self._writers is None else self._writers.write()
        with _explained(self.url), transaction as connection:
            yield connection
        durable.landed(what)

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
        with self.writing("store.migrate") as connection:
            if not self.is_sqlite:
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_MIGRATING)))
            config.attributes["connection"] = connection
            command.upgrade(config, "head")

    def close(self) -> None:
        """Give back every connection."""
        self.engine.dispose()

    def __str__(self) -> str:
        return self.url.render_as_string(hide_password=True)

    def __repr__(self) -> str:
        return f"Database({self})"


def insert_new(tx: Connection, table: sa.Table, **values: Any) -> int | None:
    """Insert a row; its id, or None where a unique row like it stands already (another worker's, on PostgreSQL)."""
    insert = sqlite.insert if tx.dialect.name == "sqlite" else postgresql.insert
    row_id: int | None = tx.execute(
        insert(table).values(**values).on_conflict_do_nothing().returning(table.c.id)
    ).scalar_one_or_none()
    return row_id


def set_up_sqlite(raw: sqlite3.Connection, *pragmas: str, busy_seconds: float) -> None:
    """Make a new connection to a SQLite file ours: in WAL mode, and beginning no transaction by itself.

    Raises sqlite3.OperationalError if the file stays locked for so long.
    """
    raw.isolation_level = None
    for pragma in (f"busy_timeout = {int(busy_seconds * 1000)}", *pragmas):
        raw.execute(f"PRAGMA {pragma}").close()
    # Two that open a new file at once: SQLite's busy handler does not wait for this one.
    ends = time.monotonic() + busy_seconds
    while True:
        try:
            raw.execute("PRAGMA journal_mode = WAL").close()
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > ends:
                raise
            time.sleep(0.02)
        else:
            return


def _set_up(raw: sqlite3.Connection, _record: Any) -> None:
    set_up_sqlite(raw, "synchronous = FULL", "foreign_keys = ON", busy_seconds=BUSY_SECONDS)


# SQLite's words, and what a person can do.
_SQLITE_HELP = {
    "database is locked": f"another program has held the database for {BUSY_SECONDS} s; end it and try again",
    "database or disk is full": "the disk is full; free some space and run the same command again",
    "disk I/O error": "the disk reports an error; look at the system's log",
    "database disk image is malformed": "the file is damaged; restore it from a backup",
    "file is not a database": "the file is no SQLite database; see `database` in hub.yaml",
    "attempt to write a readonly database": "the file or its folder is read-only; see its permissions",
    "unable to open database file": "the file cannot be opened; see its folder and permissions",
}


@contextlib.contextmanager
def _explained(url: URL) -> Iterator[None]:
    try:
        yield
    except sa.exc.TimeoutError as error:
        told = "every connection is in use; run fewer things at once"
        raise StoreError(f"{url.render_as_string(hide_password=True)}: {told}") from error
    except sa.exc.DatabaseError as error:
        cause = str(error.orig)
        fix = next((fix for words, fix in _SQLITE_HELP.items() if words in cause), None)
        if fix is None and not isinstance(error, sa.exc.OperationalError):
            raise  # not the database's state but a defect of ours, such as a broken constraint
        raise StoreError(f"{url.render_as_string(hide_password=True)}: {fix or cause.partition(chr(10))[0]}") from error
