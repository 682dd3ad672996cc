"""Running until told to stop: one process a database, signals, and a portal that hangs."""

from __future__ import annotations

import contextlib
import datetime as dt
import itertools
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import scripted
from hub_process import process
from scripted import SCRIPTS, cascadia, drop, oakhurst, states, until

from hub.contract.connector import Page
from hub.contract.status import Submission
from hub.delivery.workspace import Workspace
from hub.engine import local, work
from hub.engine.local import BusyError, Scheduler
from hub.sources import folder as folders
from hub.store import tables as t
from hub.store.database import StoreError

Open = Callable[..., Workspace]
ACCEPTED, READY, SENDING = Submission.ACCEPTED, Submission.READY, Submission.SENDING


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for files to become quiet, or for the next check."""
    monkeypatch.setattr(folders, "QUIET_SECONDS", 0.0)
    monkeypatch.setitem(work.scan.__kwdefaults__, "quiet", 0.0)
    monkeypatch.setitem(local._scan.__kwdefaults__, "quiet", 0.0)
    for name in ("CHECK_EVERY", "RECONCILE_EVERY"):
        monkeypatch.setattr(local, name, local.CHECK_EVERY / 20)


class Running:
    """A scheduler at work in a thread of its own."""

    def __init__(self, ws: Workspace, *, grace: float = 10.0) -> None:
        self.scheduler: Scheduler
        self.ended: bool | None = None
        self.error: BaseException | None = None
        started = threading.Event()

        def has_started(scheduler: Scheduler) -> None:
            self.scheduler = scheduler
            started.set()

        def work_() -> None:
            try:
                self.ended = local.run(ws, has_started, grace=grace)
            except BaseException as error:  # noqa: BLE001 - the test looks at it
                self.error = error
                started.set()

        self.thread = threading.Thread(target=work_)
        self.thread.start()
        assert started.wait(10)

    def stop(self) -> bool | None:
        self.scheduler.ask_to_stop()
        self.thread.join(20)
        assert not self.thread.is_alive()
        return self.ended


@contextlib.contextmanager
def running(ws: Workspace) -> Iterator[Running]:
    one = Running(ws)
    try:
        yield one
    finally:
        one.stop()


# --- in this process -------------------------------------------------------------------------------------------------


def test_it_takes_in_sends_and_collects_until_it_is_told_to_stop(opened: Open, tmp_path: Path) -> None:
    """What is dropped while it runs goes out by itself; asked to stop, it ends all its threads."""
    ws = opened(north=", statuses: true")
    before = threading.active_count()
    with running(ws) as one:
        drop(tmp_path, *cascadia("A"))
        until(lambda: states(ws) == {"A": ACCEPTED}, "the first")
        drop(tmp_path, *oakhurst("B"))
        until(lambda: states(ws) == {"A": ACCEPTED, "B": ACCEPTED}, "the second")
        until(lambda: "statuses" in SCRIPTS["north"].asked, "a poll")
        assert one.stop() is True
    until(lambda: threading.active_count() == before, "every thread to end")
    assert 2 == SCRIPTS["north"].made - SCRIPTS["north"].closed  # this thread and the checks
    ws.close()
    assert SCRIPTS["north"].made <= SCRIPTS["north"].closed


def test_a_portal_that_hangs_starves_no_other(opened: Open, tmp_path: Path) -> None:
    """Submits, polls and looks of the south go on while every thread of the north is on the wire."""
    ws = opened(north=", statuses: true", south=", statuses: true, lookup: exact, repeat: refuses")
    answered = threading.Event()
    SCRIPTS["north"].submit = lambda _step: answered.wait(20) and None
    lost = iter([True, False])

    def lose_the_first(_step: object) -> None:
        if next(lost, False):
            raise RuntimeError("the line broke")

    SCRIPTS["south"].submit = lose_the_first  # type: ignore[assignment]
    try:
        with running(ws):
            drop(tmp_path, *cascadia("N1", "N2"))
            until(lambda: SCRIPTS["north"].arrived, "the north's submit")
            drop(tmp_path, *oakhurst("S1", "S2"))
            until(lambda: {n: s for n, s in states(ws).items() if n[0] == "S"} == {"S1": ACCEPTED, "S2": ACCEPTED}, "S")
            polls = SCRIPTS["south"].asked.count("statuses")
            until(lambda: SCRIPTS["south"].asked.count("statuses") > polls + 2, "the south's polls")
            assert ["N1"] == SCRIPTS["north"].arrived
            answered.set()
            until(lambda: set(states(ws).values()) == {ACCEPTED}, "the north")
    finally:
        answered.set()
    assert 3 == len(SCRIPTS["south"].arrived)


def test_nothing_piles_up_behind_a_portal_that_hangs(opened: Open, tmp_path: Path) -> None:
    """A poll that takes long is not asked for again meanwhile, and no thread is added."""
    ws = opened(north=", statuses: true")
    drop(tmp_path, *cascadia("A"))  # something young, so that it is polled often
    local.once(ws, quiet=0)
    SCRIPTS["north"].asked.clear()
    answered = threading.Event()

    def hang(_cursor: str | None) -> list[Page]:
        answered.wait(20)
        return []

    SCRIPTS["north"].statuses = hang
    with running(ws) as one:
        until(lambda: "statuses" in SCRIPTS["north"].asked, "the first poll")
        time.sleep(0.5)
        threads = threading.active_count()
        time.sleep(0.7)  # seven more polls would be due
        assert (threads, 1) == (threading.active_count(), SCRIPTS["north"].asked.count("statuses"))
        assert one.scheduler.lanes["north"]._asked.empty()
        answered.set()
        until(lambda: SCRIPTS["north"].asked.count("statuses") > 1, "the next poll")


def test_a_check_that_takes_long_is_not_made_twice_at_once(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was due meanwhile is made up for once, not as often as it was missed."""
    ws = opened()
    known, now, most, times = work.check_all, 0, 0, []

    def long(space: Workspace) -> int:
        nonlocal now, most
        now, most = now + 1, max(most, now + 1)
        times.append(time.monotonic())
        time.sleep(0.35)
        now -= 1
        return known(space)

    monkeypatch.setattr(work, "check_all", long)
    with running(ws):
        until(lambda: len(times) > 3, "a few checks")
    assert 1 == most
    assert all(later - earlier > 0.3 for earlier, later in itertools.pairwise(times))


def test_a_job_that_fails_is_fired_again(
    opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A defect of one moment does not end the run."""
    ws = opened()
    known, failures = work.check_all, iter(range(3))

    def failing(space: Workspace) -> int:
        for _ in failures:
            raise RuntimeError("not now")
        return known(space)

    monkeypatch.setattr(work, "check_all", failing)
    with running(ws):
        drop(tmp_path, *cascadia("A"))
        until(lambda: states(ws) == {"A": ACCEPTED}, "the invoice")
    assert 3 == caplog.text.count("checking failed; the others go on")


@pytest.mark.parametrize("where", ["job", "lane"])
def test_a_database_that_is_gone_ends_the_run(
    opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """The message comes out of the run, wherever it was noticed."""
    ws = opened()

    def gone(*_args: object) -> object:
        raise StoreError("hub.db: the disk is full; free some space and run the same command again")

    if where == "job":
        monkeypatch.setattr(work, "check_all", gone)
    else:
        monkeypatch.setattr("hub.delivery.deliver.deliver", gone)
    one = Running(ws)
    drop(tmp_path, *cascadia("A"))
    one.thread.join(10)
    assert isinstance(one.error, StoreError)
    assert "disk is full" in str(one.error)
    assert [] == SCRIPTS["north"].arrived


def test_a_stop_lets_the_wire_end_and_sends_nothing_more(opened: Open, tmp_path: Path) -> None:
    """What is on the wire when the stop comes is written down; what waits stays ready."""
    ws = opened()
    answered = threading.Event()
    SCRIPTS["north"].submit = lambda _step: answered.wait(20) and None
    one = Running(ws)
    drop(tmp_path, *cascadia("A", "B"))
    until(lambda: SCRIPTS["north"].arrived and "B" in states(ws), "the first submit")
    until(lambda: sorted(states(ws).values()) == [READY, SENDING], "the second to wait")
    one.scheduler.ask_to_stop()
    until(ws.cancel.is_set, "the stop")
    answered.set()
    assert one.stop() is True
    assert [ACCEPTED, READY] == sorted(states(ws).values())
    assert 1 == len(SCRIPTS["north"].arrived)


def test_one_process_works_a_database_at_a_time(opened: Open, tmp_path: Path) -> None:
    """The second is told who is there, and does nothing; afterwards the place is free."""
    with running(opened()):
        drop(tmp_path, *cascadia("A"))
        until(lambda: SCRIPTS["north"].arrived, "the first")
        with pytest.raises(BusyError, match=rf"process {os.getpid()}\) works .*hub.db already; end it first"):
            local.once(opened(), quiet=0)
        with pytest.raises(BusyError):
            local.run(opened())
    drop(tmp_path, *cascadia("B"))
    local.once(opened(), quiet=0)
    assert ["A", "B"] == SCRIPTS["north"].arrived


# --- as a process ----------------------------------------------------------------------------------------------------


def booked(workspace: Path) -> list[str]:
    book = workspace / "book"
    return book.read_text().splitlines() if book.exists() else []


def slow(workspace: Path, seconds: float) -> Path:
    """A workspace whose northern portal takes so long for each submit, with two invoices for it that are ready."""
    made = scripted.make_workspace(workspace, north=f", seconds: {seconds}, book: {workspace / 'book'}")
    drop(made, *cascadia("A", "B"))
    past = time.time() - 10
    for path in (made / "inbox").iterdir():
        os.utime(path, (past, past))
    return made


def test_a_signal_lets_the_wire_end_and_the_process_ends_well(opened: Open, tmp_path: Path) -> None:
    """What began ends and is written down, nothing begins after it, and the exit status is 0."""
    slow(tmp_path, 1.0)
    with process(tmp_path) as hub:
        until(lambda: booked(tmp_path), "the first submit")
        status, said, errors = hub.end(signal.SIGTERM, seconds=10)
    assert (0, "ended\n", "") == (status, said, errors)
    ((_, first), (word, last)) = (line.split() for line in booked(tmp_path))
    assert ("ended", first) == (word, last)
    assert {first: ACCEPTED, ({"A", "B"} - {first}).pop(): READY} == states(opened())


def test_what_hangs_past_the_grace_is_left_and_asked_about_later(opened: Open, tmp_path: Path) -> None:
    """The process ends in time all the same; the next start knows that it may have arrived, and resends nothing."""
    slow(tmp_path, 60.0)
    with process(tmp_path, grace=0.5) as hub:
        until(lambda: booked(tmp_path), "the first submit")
        began = time.monotonic()
        status, said, errors = hub.end(signal.SIGINT, seconds=10)
    assert (0, "abandoned\n", "") == (status, said, errors)
    assert time.monotonic() - began < 5
    scripted.make_workspace(tmp_path)
    ws = opened()
    first = booked(tmp_path)[0].split()[1]
    assert SENDING == states(ws)[first]
    local.once(ws, quiet=0)
    assert {first: Submission.NEEDS_HUMAN, ({"A", "B"} - {first}).pop(): ACCEPTED} == states(ws)
    assert first not in SCRIPTS["north"].arrived


def test_a_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    """Whoever does not want to wait for the wire need not."""
    slow(tmp_path, 60.0)
    with process(tmp_path) as hub:
        until(lambda: booked(tmp_path), "the first submit")
        hub.process.send_signal(signal.SIGTERM)
        time.sleep(0.6)
        assert hub.process.poll() is None
        status, _, _ = hub.end(signal.SIGTERM, seconds=5)
    assert -signal.SIGTERM == status


def test_recovering_is_part_of_every_start(opened: Open, tmp_path: Path) -> None:
    """A run, too, takes up what a dead worker left."""
    ws = opened()
    drop(tmp_path, *cascadia("A"))
    list(work.scan(ws, "inbox", quiet=0))
    work.check_all(ws)
    with ws.db.writing("test") as tx:
        until_then = ws.now() + dt.timedelta(hours=1)
        tx.execute(t.submission.update().values(state=SENDING, lease_owner="dead:1", lease_until=until_then))
    with running(ws):
        until(lambda: states(ws) == {"A": ACCEPTED}, "the invoice")
