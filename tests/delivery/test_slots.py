"""No more pieces of work are under way at a portal than it allows, counted over threads and processes."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from delivery_house import ON_BOTH, House, Lane
from gate_process import KEY, hear, processes

from hub.contract.connector import Deadline
from hub.contract.errors import Scope, Transient
from hub.contract.status import Delivered
from hub.delivery.probe import check_connection
from hub.delivery.slots import Slots, locks_beside
from hub.store.database import Database, StoreError

Opened = Callable[[], Slots]


@pytest.fixture
def opened(url: str) -> Iterator[Opened]:
    """The slots of one connection, opened as by another process; closed at the end."""
    made = []

    def open_() -> Slots:
        db = Database(url)
        locks = locks_beside(db)
        made.append((db, locks))
        return Slots(KEY, locks, threading.Event())

    yield open_
    for db, locks in made:
        locks.close()
        db.close()


def within(seconds: float) -> Callable[[], float]:
    return Deadline(seconds).left


class InFlight:
    """How many are at work at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.now = self.most = self.ever = 0

    def work(self, seconds: float) -> None:
        with self._lock:
            self.now += 1
            self.ever += 1
            self.most = max(self.most, self.now)
        time.sleep(seconds)
        with self._lock:
            self.now -= 1


def run(*pieces: Callable[[], None]) -> None:
    """All at once, to their end."""
    threads = [threading.Thread(target=piece) for piece in pieces]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not any(thread.is_alive() for thread in threads)


def test_all_together_never_hold_more_slots_than_there_are(opened: Opened) -> None:
    """Four threads of each of two holders, and three slots; all of them are used."""
    in_flight = InFlight()

    def work(slots: Slots) -> None:
        for _ in range(5):
            with slots.one(3, left=within(30)):
                in_flight.work(0.005)

    here, there = opened(), opened()
    run(*[lambda: work(here)] * 4, *[lambda: work(there)] * 4)
    assert (3, 40) == (in_flight.most, in_flight.ever)


def test_a_slot_is_free_as_soon_as_its_holder_is_killed(url: str, opened: Opened) -> None:
    """The system lets go of it; nobody waits for a lease to run out."""
    slots = opened()
    with processes(url, "hold", {}) as (process,):
        assert "holds" == hear(process)
        with pytest.raises(Transient, match="were under way all the time"), slots.one(1, left=within(0.1)):
            pass
        process.kill()
        with slots.one(1, left=within(20)):
            pass


def test_who_takes_slots_again_and_again_keeps_nobody_out(opened: Opened) -> None:
    """A busy lane does not keep a person's `hub check` waiting: who waits comes next."""
    busy, other = opened(), opened()
    over = threading.Event()

    def work() -> None:
        while not over.is_set():
            with busy.one(1, left=within(30)):
                time.sleep(0.002)

    def come_in() -> None:
        try:
            for _ in range(3):
                with other.one(1, left=within(20)):
                    pass
        finally:
            over.set()

    run(work, come_in)


def test_nobody_passes_one_that_waits_at_the_turnstile(opened: Opened) -> None:
    """Not even where a slot is free that very moment."""
    late, first = opened(), opened()
    assert first._locks.take(f"{KEY}.next")
    with pytest.raises(Transient), late.one(1, left=within(0.1)):
        pass
    first._locks.give_back(f"{KEY}.next")
    with late.one(1, left=within(1)):
        pass


def test_who_waits_for_a_slot_goes_at_a_stop(opened: Opened) -> None:
    """Nothing was asked, and it is nobody's failure: no breaker counts it."""
    slots, other = opened(), opened()
    errors = []

    def wait() -> None:
        with pytest.raises(Transient, match="the hub is stopping") as caught, slots.one(1, left=within(60)):
            pass
        errors.append(caught.value)

    with other.one(1, left=within(1)):
        waiting = [threading.Thread(target=wait) for _ in range(2)]  # one at the turnstile, one behind it
        for thread in waiting:
            thread.start()
        time.sleep(0.1)
        slots._cancel.set()
        for thread in waiting:
            thread.join(10)
    assert [(Delivered.NO, Scope.INVOICE)] * 2 == [(error.delivered, error.scope) for error in errors]


def test_connections_have_slots_of_their_own(url: str) -> None:
    """One that is full stops no other."""
    db = Database(url)
    locks = locks_beside(db)
    north, south = (Slots(key, locks, threading.Event()) for key in ("north", "south"))
    with north.one(1, left=within(1)), south.one(1, left=within(1)):
        pass
    locks.close()
    db.close()


def test_slots_that_cannot_be_counted_are_the_database_s_failure(tmp_path: Path) -> None:
    """It says which folder."""
    (tmp_path / "hub.db.slots").write_text("not a folder")
    slots = Slots(KEY, locks_beside(Database(f"sqlite:///{tmp_path / 'hub.db'}")), threading.Event())
    with pytest.raises(StoreError, match=r"hub\.db\.slots"), slots.one(1, left=within(1)):
        pass


@ON_BOTH
def test_a_portal_s_slots_are_those_of_all_who_opened_the_workspace(house: House) -> None:
    """A check of a login waits while a lane of another process is at work; a block within a block is the same slot."""
    house.write(Lane("acme"))
    told = json.loads((house.folder / "hub.yaml").read_text())
    told["connections"]["acme"]["max_parallel"] = 1
    (house.folder / "hub.yaml").write_text(json.dumps(told))
    here, there = house.open(), house.open()
    done = threading.Event()

    def check() -> None:
        check_connection(there, "acme")
        done.set()

    checking = threading.Thread(target=check)
    with here.portal("acme").slot(), here.portal("acme").slot():
        with pytest.raises(Transient), there.portal("acme").slot(seconds=0):
            pass
        checking.start()
        assert not done.wait(0.2)
    checking.join(20)
    assert done.is_set()
