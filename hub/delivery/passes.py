"""When a connection's latest requests went: the exact log that its gate counts by, shared by threads and processes.

Request number k may go as soon as request k-N is a whole window old, for each limit of N a window. That is one look by
key for each window, under one lock: the connection's row on PostgreSQL, the file on SQLite. SQLite's log is a file of
its own beside the database, so that counting costs no fsync and never waits for the ledger's writer.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.dialects import sqlite

from hub.contract.errors import Transient
from hub.contract.status import Delivered
from hub.store import tables as t
from hub.store.database import Database, set_up_sqlite

SLACK = 0.02  # seconds added to each window: a request is on the wire a little after it was let go, now more, now less
_WANTED = 1.0  # seconds past its turn for which a waiting request still holds polls back: it must wake and ask again
_LOCK_SECONDS = 5
_AT_MOST = ("lock_timeout", "idle_in_transaction_session_timeout")
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")  # proc(5): the same until the machine starts again

# On SQLite: what is to be added to the counter of this start of the machine, so that it goes on where wall clocks were.
_steady = sa.Table("steady", sa.MetaData(), sa.Column("boot", sa.Text, primary_key=True), sa.Column("ahead", sa.Double))

# Plain SQL to the driver itself: this is asked before each request, and SQLAlchemy would take most of its time.
_NEW = "INSERT INTO gate (connection, seq, wanted_until) VALUES (?, 0, 0) ON CONFLICT DO NOTHING"
_ROW = "SELECT seq, wanted_until FROM gate WHERE connection = ?"
_NOW = "SELECT extract(epoch FROM clock_timestamp())"
_TIMES = "SELECT seq, at FROM gate_pass WHERE connection = ? AND seq IN ({})"
_WANT = "UPDATE gate SET wanted_until = ? WHERE connection = ?"
_COUNT = "UPDATE gate SET seq = ? WHERE connection = ?"
_ENTER = "INSERT INTO gate_pass (connection, seq, at) VALUES (?, ?, ?)"
_PRUNE = "DELETE FROM gate_pass WHERE connection = ? AND seq <= ?"  # older than anybody asks for
_LATER = "UPDATE gate_pass SET at = at + ? WHERE connection = ? AND seq = ?"
_PULL_BACK = "UPDATE gate_pass SET at = ? WHERE connection = ? AND at > ?"

_Say = Callable[[str, tuple[Any, ...]], Any]  # one of these and its values; the cursor


def wall() -> float:
    """Seconds since 1970; steps when somebody sets the clock."""
    return time.time()


def counter() -> float:
    """Seconds since the machine started, asleep or not; the same in every process, and set by nobody."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def boot() -> str | None:
    """Which start of the machine this is; None where the system does not tell."""
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return None


@dataclass(frozen=True)
class _Seen:
    """What the log says at one moment."""

    now: float
    seq: int  # requests ever
    wanted_until: float  # so long are polls held back
    nth_last: Mapping[int, float]  # N → when the N-th last request went


class Passes:
    """The log of one database's connections. Threads share it; nothing is opened before it is needed."""

    def __init__(self, db: Database) -> None:
        self._db = db
        # Queueing here is fair and quick; SQLite's own busy handler sleeps and polls.
        self._turn = threading.Lock() if db.is_sqlite else contextlib.nullcontext()
        self._opening = threading.Lock()
        self._engine: sa.Engine | None = None
        self._ahead: float | None = None

    def ask(self, connection: str, limits: Mapping[float, int], *, yields: float | None = None) -> float:
        """0 if one more request goes now, which is then counted; else the seconds until it is worth asking again.

        `limits`: how many in any window of so many seconds. `yields` is a poll's: for how many seconds at most it lets
        requests go first that wait for their turn. Raises Transient (delivered: no) where nothing can be counted.
        """
        with self._locked() as say:
            seen = self._look(say, connection, limits)
            looked = time.monotonic()
            opens = (at + window + SLACK for window, n in limits.items() if (at := seen.nth_last.get(n)) is not None)
            held = seen.now if yields is None else min(seen.wanted_until, seen.now + yields)
            wait = max(held, max(opens, default=held)) - seen.now
            if wait > 0:
                if yields is None:
                    say(_WANT, (seen.now + wait + _WANTED, connection))
                return wait
            seq = seen.seq + 1
            say(_COUNT, (seq, connection))
            say(_ENTER, (connection, seq, seen.now))
            say(_PRUNE, (connection, seq - max(limits.values())))
        late = time.monotonic() - looked
        if late > SLACK:  # it goes later than it was counted, by more than is allowed for
            with self._locked() as say:
                say(_LATER, (late, connection, seq))
        return 0.0

    def close(self) -> None:
        """Give back what is open."""
        with self._turn, self._opening:
            if self._engine is not None:
                self._engine.dispose()
                self._engine = None

    def _look(self, say: _Say, connection: str, limits: Mapping[float, int]) -> _Seen:
        """What the log says, under its lock."""
        row = _ROW if self._db.is_sqlite else f"{_ROW} FOR UPDATE"
        found = say(row, (connection,)).fetchone()
        if found is None:
            say(_NEW, (connection,))
            found = say(row, (connection,)).fetchone()
        seq, wanted_until = found
        seqs = {seq - n + 1: n for n in (1, *limits.values())}
        times = say(_TIMES.format(", ".join("?" * len(seqs))), (connection, *seqs)).fetchall()
        nth_last = {seqs[number]: at for number, at in times}
        now = self._now(say)
        if nth_last.get(1, now) > now:
            # The clock went back. Whatever went later than now went now at the latest: no window holds too many, and
            # nobody waits longer than one.
            say(_PULL_BACK, (now, connection, now))
            nth_last = {n: min(at, now) for n, at in nth_last.items()}
        return _Seen(now, seq, wanted_until, nth_last)

    def _now(self, say: _Say) -> float:
        """The database's clock; on SQLite one that nobody sets."""
        if not self._db.is_sqlite:
            return float(say(_NOW, ()).fetchone()[0])
        return wall() if self._ahead is None else counter() + self._ahead

    @contextlib.contextmanager
    def _locked(self) -> Iterator[_Say]:
        try:
            with self._turn, contextlib.closing(self._opened().raw_connection()) as raw:
                cursor = raw.cursor()
                if self._db.is_sqlite:
                    cursor.execute("BEGIN IMMEDIATE")
                    yield cursor.execute
                else:
                    yield lambda sql, values: cursor.execute(sql.replace("?", "%s"), values)
                raw.commit()
        except (sa.exc.SQLAlchemyError, sqlite3.Error, psycopg.Error) as error:
            cause = str(getattr(error, "orig", None) or error).partition("\n")[0]
            place = _file(self._db) if self._db.is_sqlite else self._db
            why = f"not asked: the request could not be counted ({place}: {cause})"
            raise Transient(why, delivered=Delivered.NO) from error

    def _opened(self) -> sa.Engine:
        with self._opening:
            if self._engine is None:
                url = sa.URL.create("sqlite", database=str(_file(self._db))) if self._db.is_sqlite else self._db.url
                engine = sa.create_engine(url, hide_parameters=True)
                event.listen(engine, "connect", _set_up_sqlite if self._db.is_sqlite else _set_up_postgresql)
                if self._db.is_sqlite:
                    self._ahead = _make(engine)
                self._engine = engine
            return self._engine


def _file(db: Database) -> Path:
    file = Path(str(db.url.database)).resolve()  # one log, whichever link leads to the database
    return file.with_name(f"{file.name}.gate")


def _make(engine: sa.Engine) -> float | None:
    """Make the tables; by how much the log's clock is ahead of this machine's counter.

    Fixed once for each start of the machine, so that setting the clock moves nothing. None where the log must go by
    wall clocks, for the system does not tell one start from another.
    """
    this = boot()
    with engine.begin() as tx:
        tx.exec_driver_sql("BEGIN IMMEDIATE")
        t.metadata.create_all(tx, tables=[t.gate, t.gate_pass])
        _steady.metadata.create_all(tx)
        if this is None:
            return None
        tx.execute(sqlite.insert(_steady).values(boot=this, ahead=wall() - counter()).on_conflict_do_nothing())
        tx.execute(_steady.delete().where(_steady.c.boot != this))
        ahead: float = tx.execute(sa.select(_steady.c.ahead)).scalar_one()
        return ahead


def _set_up_sqlite(raw: sqlite3.Connection, _record: Any) -> None:
    set_up_sqlite(raw, "synchronous = NORMAL", busy_seconds=_LOCK_SECONDS)


def _set_up_postgresql(raw: psycopg.Connection[Any], _record: Any) -> None:
    """Nothing here need survive a power cut of the server, and nobody may hold a row for long, dead or alive."""
    for setting in ("synchronous_commit = off", *(f"{name} = '{_LOCK_SECONDS}s'" for name in _AT_MOST)):
        raw.execute(f"SET {setting}")
    raw.commit()
