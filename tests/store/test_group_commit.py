"""Threads that write to one SQLite file at the same moment share a commit, and nothing else."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from hub import durable
from hub.store import tables as t
from hub.store.database import Database, StoreError

Body = Callable[[sa.Connection], None]


class Death(BaseException):
    """The process dies here."""


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    made = Database(f"sqlite:///{tmp_path / 'hub.db'}")
    made.migrate()
    yield made
    made.close()


def keys(db: Database) -> list[str]:
    with db.reading() as tx:
        return list(tx.scalars(sa.select(t.connection.c.key).order_by(t.connection.c.key)))


def put(key: str) -> Body:
    def body(tx: sa.Connection) -> None:
        tx.execute(t.connection.insert().values(key=key))

    return body


def raises(error: BaseException, after: Body) -> Body:
    def body(tx: sa.Connection) -> None:
        after(tx)
        raise error

    return body


def until(true: Callable[[], object]) -> None:
    ends = time.monotonic() + 20
    while not true():
        assert time.monotonic() < ends
        time.sleep(0.005)


class InOrder:
    """A lock that serves those who wait in the order in which they came, which Python's does not promise."""

    def __init__(self) -> None:
        self._one = threading.Lock()
        self._held = False
        self._waiting: deque[threading.Event] = deque()

    def acquire(self) -> bool:
        with self._one:
            if not self._held:
                self._held = True
                return True
            mine = threading.Event()
            self._waiting.append(mine)
        return mine.wait()

    def release(self) -> None:
        with self._one:
            if self._waiting:
                self._waiting.popleft().set()
            else:
                self._held = False


def together(db: Database, *bodies: Body) -> dict[int, BaseException | None]:
    """Let these write in one group, in this order; what each raised."""
    came: dict[int, BaseException | None] = {}
    writers = db._writers
    assert writers is not None
    writers._turn = InOrder()  # type: ignore[assignment]

    def write(number: int, body: Body) -> None:
        try:
            with db.writing("test") as tx:
                if number == 0:
                    until(lambda: writers._coming == len(bodies) - 1)
                body(tx)
        except BaseException as error:  # noqa: BLE001 - the test looks at it
            came[number] = error
        else:
            came[number] = None

    threads = [threading.Thread(target=write, args=one) for one in enumerate(bodies)]
    for number, thread in enumerate(threads):
        if number:
            # Whoever is coming waits already, so that this one comes behind him.
            until(lambda: writers._group is not None and len(writers._turn._waiting) == number - 1)  # type: ignore[attr-defined] # noqa: B023
        thread.start()
    for thread in threads:
        thread.join(20)
    assert not any(thread.is_alive() for thread in threads)
    return came


@pytest.fixture
def commits(db: Database) -> list[str]:
    """One entry a commit."""
    seen: list[str] = []
    db.close()  # what it opens anew is traced
    trace = lambda words: seen.append(words) if words == "COMMIT" else None  # noqa: E731
    sa.event.listen(db.engine, "connect", lambda raw, _: raw.set_trace_callback(trace))
    return seen


def test_those_who_write_at_the_same_moment_share_one_commit(db: Database, commits: list[str]) -> None:
    """Ten writes, one commit, and everything is there; who is alone commits at once."""
    names = [f"{number}" for number in range(10)]
    assert dict.fromkeys(range(10)) == together(db, *map(put, names))
    assert (["COMMIT"], names) == (commits, keys(db))
    with db.writing("test") as tx:
        put("alone")(tx)
    assert (["COMMIT"] * 2, sorted([*names, "alone"])) == (commits, keys(db))


def test_nobody_is_told_before_it_is_durable(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """The crash-point marker of each comes when another connection sees what all of them wrote, and not before."""
    seen: list[list[str]] = []

    def peek(tx: sa.Connection) -> None:
        put("b")(tx)
        seen.append(keys(db))

    monkeypatch.setattr(durable, "landed", lambda what: seen.append([what, *keys(db)]))
    together(db, put("a"), peek, put("c"))
    assert [[], *[["test", "a", "b", "c"]] * 3] == seen


def test_one_that_fails_takes_nothing_of_the_others_with_it(db: Database, commits: list[str]) -> None:
    """First, in the middle and last; a broken constraint, an error of ours, and a death."""
    wrong, death = ValueError("wrong"), Death()
    bodies = (raises(wrong, put("x")), put("a"), put("a"), raises(death, put("y")), put("b"), raises(wrong, put("z")))
    came = together(db, *bodies)
    assert [wrong, None, death, None, wrong] == [came[number] for number in (0, 1, 3, 4, 5)]
    assert isinstance(came[2], sa.exc.IntegrityError)
    assert (["COMMIT"], ["a", "b"]) == (commits, keys(db))
    assert {0: None} == together(db, put("c"))


def test_a_commit_that_fails_fails_all_of_them(db: Database) -> None:
    """Everybody hears why, nothing of the group is there, and the next one can write."""

    def owe(tx: sa.Connection) -> None:
        tx.exec_driver_sql("PRAGMA defer_foreign_keys = ON")  # so that the commit finds it, and not the statement
        tx.exec_driver_sql(
            "INSERT INTO step (submission_id, position, name, key, repeat, leaves, media_type,"
            " body_sha256, enclosures) VALUES (99, 0, '', '', '', '', '', '', '')"
        )

    came = together(db, put("a"), owe, put("c"))
    assert [StoreError] * 3 == [type(came[number]) for number in range(3)]
    assert {True} == {"FOREIGN KEY constraint failed" in str(error) for error in came.values()}
    assert ([], {0: None}, ["d"]) == (keys(db), together(db, put("d")), keys(db))


def test_a_full_disk_in_one_of_them_fails_all_that_shared_its_commit(db: Database) -> None:
    """SQLite takes the whole transaction back; those before it are told, those behind it write in a new one."""

    def fill(tx: sa.Connection) -> None:
        tx.exec_driver_sql("PRAGMA max_page_count = 1")
        for number in range(500):
            put(f"{number}" * 500)(tx)

    def free(tx: sa.Connection) -> None:
        tx.exec_driver_sql("PRAGMA max_page_count = 1000000")
        put("c")(tx)

    came = together(db, put("a"), put("b"), fill, free)
    assert [StoreError, StoreError, StoreError, type(None)] == [type(came[number]) for number in range(4)]
    assert {True} == {"the disk is full; free some space" in str(came[number]) for number in range(3)}
    assert ["c"] == keys(db)


@pytest.mark.parametrize("made", [False, True])
def test_ctrl_c_in_the_commit_is_no_answer_for_the_others(db: Database, made: bool) -> None:  # noqa: FBT001
    """Cut off before it: they hear that nothing was written. Right behind it: everything was, and they go on."""

    class Interrupted:
        """A driver whose commit a person interrupts."""

        def __init__(self, driver: Any) -> None:
            self.driver = driver

        def __getattr__(self, name: str) -> Any:
            return getattr(self.driver, name)

        def commit(self) -> None:
            if made:
                self.driver.commit()
            raise stop

    def interrupt(tx: sa.Connection) -> None:
        group = db._writers and db._writers._group
        assert group is not None
        group._driver = Interrupted(group._driver)  # type: ignore[assignment]
        put("b")(tx)

    stop = KeyboardInterrupt()
    came = together(db, put("a"), interrupt)
    assert (stop, ["a", "b"] if made else []) == (came[1], keys(db))
    assert (came[0] is None) if made else ("the commit was cut off" in str(came[0]))
    assert {0: None} == together(db, put("c"))


def test_who_gives_up_waiting_for_his_turn_leaves_nobody_behind(db: Database) -> None:
    """Ctrl-C in the last of the queue: the others had left the commit to it, and it comes all the same."""
    writers = db._writers
    assert writers is not None
    turn, first = writers._turn, threading.Event()

    class Interrupted:
        """Its second taker is interrupted once while he waits, when the first has left the commit to him."""

        def acquire(self) -> None:
            if threading.current_thread() is threading.main_thread() and not first.is_set():
                first.set()
                until(lambda: not turn.locked())
                raise KeyboardInterrupt
            turn.acquire()

        def release(self) -> None:
            turn.release()

    writers._turn = Interrupted()  # type: ignore[assignment]

    def write() -> None:
        with db.writing("test") as tx:
            put("a")(tx)
            assert first.wait(20)

    other = threading.Thread(target=write)
    other.start()
    until(lambda: writers._group is not None)
    with pytest.raises(KeyboardInterrupt), db.writing("test"):
        raise AssertionError("he gave up")
    other.join(20)
    assert (False, ["a"]) == (other.is_alive(), keys(db))


_WRITER = """\
import sys, threading
from hub.store.database import Database
from hub.store import tables as t
db = Database(sys.argv[1])
told = threading.Lock()
def write(name):
    number = 0
    while True:
        with db.writing("test") as tx:
            tx.execute(t.connection.insert().values(key=f"{name}-{number}"))
            tx.execute(t.account.insert().values(key=f"{name}-{number}"))
        with told:
            print(f"{name}-{number}", flush=True)
        number += 1
for name in range(8):
    threading.Thread(target=write, args=(name,)).start()
"""


def test_what_eight_threads_were_told_outlives_a_killed_process(db: Database) -> None:
    """Killed at any moment: every write that had returned is there, and no half one."""
    process = subprocess.Popen([sys.executable, "-c", _WRITER, str(db.url)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    told = [process.stdout.readline() for _ in range(random.randint(8, 200))]  # noqa: S311 - any moment
    process.kill()
    told += process.stdout.readlines()
    process.stdout.close()
    process.wait()
    returned = {line.strip() for line in told if line.endswith("\n")}
    there = set(keys(db))
    assert set() == returned - there
    with db.reading() as tx:
        assert there == set(tx.scalars(sa.select(t.account.c.key)))
        assert "ok" == tx.exec_driver_sql("PRAGMA integrity_check").scalar_one()
