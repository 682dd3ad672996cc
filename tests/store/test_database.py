from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa

from hub.store import database
from hub.store import tables as t
from hub.store.database import Database, StoreError

CANARY = "hunter2-canary"


def keys(db: Database) -> list[str]:
    with db.reading() as tx:
        return list(tx.scalars(sa.select(t.connection.c.key).order_by(t.connection.c.key)))


def put(tx: sa.Connection, key: str) -> None:
    tx.execute(t.connection.insert().values(key=key))


@pytest.fixture
def sqlite(tmp_path: Path) -> Database:
    db = Database(f"sqlite:///{tmp_path / 'hub.db'}")
    db.migrate()
    return db


def test_sqlite_is_set_to_lose_nothing(sqlite: Database) -> None:
    """Write-ahead log, a full sync at every commit, foreign keys, on every connection that the pool makes."""

    def asked(_: int) -> tuple[object, ...]:
        with sqlite.reading() as tx:
            barrier.wait()
            names = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
            return tuple(tx.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in names)

    barrier = threading.Barrier(5)
    with ThreadPoolExecutor(5) as pool:
        assert {("wal", 2, 1, 30_000)} == set(pool.map(asked, range(5)))


def test_a_write_that_raises_never_happened(db: Database) -> None:
    """Whatever was written before the exception is gone; what was committed stays."""

    def write_and_die() -> None:
        with db.writing("test") as tx:
            put(tx, "gone")
            raise KeyboardInterrupt

    with db.writing("test") as tx:
        put(tx, "kept")
    with pytest.raises(KeyboardInterrupt):
        write_and_die()
    assert ["kept"] == keys(db)


def test_a_read_sees_one_moment(db: Database) -> None:
    """What others commit while it reads is not in it."""
    with db.writing("test") as tx:
        put(tx, "a")
    count = sa.select(sa.func.count()).select_from(t.connection)
    with db.reading() as tx:
        first = tx.execute(count).scalar_one()
        with db.writing("test") as other:
            put(other, "b")
        assert (1, 1) == (first, tx.execute(count).scalar_one())
    assert ["a", "b"] == keys(db)


def test_a_read_writes_nothing(db: Database) -> None:
    """What is written outside a writing transaction is refused, or is gone when the read ends."""
    refused = False
    try:
        with db.reading() as tx:
            put(tx, "x")
    except (sa.exc.DBAPIError, StoreError):
        refused = True
    assert ([], not db.is_sqlite) == (keys(db), refused)


def test_writers_queue_and_none_fails(db: Database) -> None:
    """Reads that turn into writes, from threads and through two engines: no deadlock, no lost update."""
    with db.writing("test") as tx:
        put(tx, "a")
    engines = [db, Database(db.url)]
    mark = t.connection.c.mark

    def add(number: int) -> None:
        for _ in range(10):
            with engines[number % 2].writing("test") as tx:
                now = tx.execute(sa.select(mark).with_for_update()).scalar_one()
                tx.execute(t.connection.update().values(mark=now + 1))

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(add, range(6)))
    with db.reading() as tx:
        assert 60 == tx.execute(sa.select(mark)).scalar_one()
    engines[1].close()


def test_a_write_takes_the_lock_at_once(sqlite: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process that wants to write waits before it has read anything that it would rely on."""
    monkeypatch.setattr(database, "BUSY_SECONDS", 0)
    other = Database(sqlite.url)
    with sqlite.writing("test"), pytest.raises(StoreError), other.writing("test"):
        raise AssertionError("two writers at once")
    with sqlite.writing("test"):
        assert [] == keys(other)  # readers never wait
    other.close()


def test_a_locked_database_is_told_in_words(sqlite: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which file, how long it was waited for, and what to do."""
    monkeypatch.setattr(database, "BUSY_SECONDS", 0)
    holder = sqlite3.connect(str(sqlite.url.database), isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    other = Database(sqlite.url)
    with (
        pytest.raises(StoreError, match=r"hub\.db: another program has held the database .*; end it"),
        other.writing("test"),
    ):
        raise AssertionError("it was locked")
    holder.close()
    other.close()


def test_a_full_disk_is_told_in_words_and_nothing_is_written(sqlite: Database) -> None:
    """The transaction that met it never happened, and the next one works once there is room."""

    def pages(tx: sa.Connection, limit: int) -> None:
        tx.exec_driver_sql(f"PRAGMA max_page_count = {limit}")

    def fill() -> None:
        with sqlite.writing("test") as tx:
            put(tx, "before")
            pages(tx, 1)
            for number in range(500):
                put(tx, f"{number}" * 500)

    with pytest.raises(StoreError, match="the disk is full; free some space"):
        fill()
    with sqlite.writing("test") as tx:
        pages(tx, 1_000_000)
        put(tx, "after")
    assert ["after"] == keys(sqlite)


def test_a_readonly_file_is_told_in_words(sqlite: Database) -> None:
    """Reading goes on; a write says where the permissions are."""
    sqlite.close()
    readonly = Database(f"sqlite:///file:{sqlite.url.database}?mode=ro&uri=true")
    assert [] == keys(readonly)
    with pytest.raises(StoreError, match="read-only; see its permissions"), readonly.writing("test") as tx:
        put(tx, "x")
    readonly.close()


def test_what_is_no_database_is_told_in_words(tmp_path: Path) -> None:
    """A text file, a folder, and a place that does not exist."""
    (tmp_path / "notes.db").write_text("This is a list of things to buy, and no database at all. " * 20)
    (tmp_path / "folder.db").mkdir()
    for name, told in (
        ("notes.db", "is no SQLite database; see `database` in hub.yaml"),
        ("folder.db", "cannot be opened; see its folder"),
        ("missing/hub.db", "cannot be opened; see its folder"),
    ):
        db = Database(f"sqlite:///{tmp_path / name}")
        with pytest.raises(StoreError, match=told) as caught:
            db.migrate()
        assert name in str(caught.value)
        db.close()


def test_a_damaged_file_is_told_in_words(sqlite: Database) -> None:
    """Overwritten in the middle: it says that, and what to do."""
    with sqlite.writing("test") as tx:
        for number in range(200):
            put(tx, f"{number:0500}")
    sqlite.close()
    path = Path(str(sqlite.url.database))
    size = path.stat().st_size
    with path.open("r+b") as stream:
        stream.seek(size // 2)
        stream.write(b"\xff" * (size // 2))
    with pytest.raises(StoreError, match="damaged; restore it from a backup"):
        keys(sqlite)
    sqlite.close()


def test_passwords_are_never_shown() -> None:
    """Not in the text of a database, its repr, its errors, nor in what caused them."""
    db = Database(f"postgresql+psycopg://ann:{CANARY}@127.0.0.1:1/hub?connect_timeout=2")
    with pytest.raises(StoreError) as caught:
        db.migrate()
    shown = [str(db), repr(db), str(caught.value), repr(caught.value)]
    cause: BaseException | None = caught.value
    while cause is not None:
        shown.append(f"{cause} {cause!r}")
        cause = cause.__cause__ or cause.__context__
    assert "postgresql+psycopg://ann:***@127.0.0.1:1/hub" in shown[0]
    assert [] == [one for one in shown if CANARY in one]
    db.close()


def test_a_failed_statement_does_not_tell_its_values(db: Database) -> None:
    """They hold what invoices and portals say."""
    with db.writing("test") as tx:
        put(tx, CANARY)
    with pytest.raises(sa.exc.IntegrityError) as caught, db.writing("test") as tx:
        put(tx, CANARY)
    assert CANARY not in str(caught.value).replace(f"Key (key)=({CANARY})", "")


_WRITER = """\
import sys, sqlalchemy as sa
from hub.store.database import Database
from hub.store import tables as t
db = Database(sys.argv[1])
number = 0
while True:
    with db.writing("test") as tx:
        tx.execute(t.connection.insert().values(key=f"{number:06}"))
    print(number, flush=True)
    number += 1
"""


def test_what_was_committed_outlives_a_killed_process(sqlite: Database) -> None:
    """Every row that it had told of is there afterwards, and no half one."""
    process = subprocess.Popen([sys.executable, "-c", _WRITER, str(sqlite.url)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    told = [process.stdout.readline() for _ in range(25)]
    process.kill()
    told += process.stdout.readlines()
    process.stdout.close()
    process.wait()
    committed = [f"{int(line):06}" for line in told if line.endswith("\n")]
    assert committed == keys(sqlite)[: len(committed)]
    assert len(committed) <= len(keys(sqlite)) <= len(committed) + 1
    with sqlite.reading() as tx:
        assert "ok" == tx.exec_driver_sql("PRAGMA integrity_check").scalar_one()
