"""A death while sending is stopped, allowed or judged: nothing goes that nobody allowed, and then it goes once."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from delivery_house import House, invoice, receive, work
from portal_in_memory import PORTALS, Clock, Death, Scripted

from hub import durable
from hub.delivery import reconcile, registry
from hub.delivery.workspace import Workspace
from hub.engine import before_arming
from hub.steering import stop_all
from tests.crash.plan import WHOSE
from tests.crash.points import points


class Owner:
    """A workspace, and a person who stops it and lets it go; the process dies behind one point, once."""

    def __init__(self, house: House, point: str) -> None:
        self.house = house
        self.point = point
        self.died = False

    def landed(self, what: str) -> None:
        if what == self.point and not self.died:
            self.died = True
            raise Death

    @property
    def ws(self) -> Workspace:
        return self.house.opened[-1]

    def start(self) -> None:
        """A new process; of the one that died nothing was put in order."""
        dead = list(self.house.opened)
        try:
            self.house.open()
        except Death:
            self.house.open()
        for ws in dead:
            ws.arming._marks = None  # the dead remember nothing at their end
            ws.close()
        del self.house.opened[:-1]
        reconcile.recover(self.ws, alone=True)

    def stop(self) -> None:
        """`hub stop-all`."""
        with contextlib.suppress(Death):
            stop_all.main(["--why", "a test", "--by", "ann"], obj=self.house.folder, standalone_mode=False)
        self.start()

    def arm(self) -> None:
        """`hub arm --yes`, once more if the process died in it and nothing may go yet."""
        for _ in range(3):
            with self.ws.db.reading() as tx:
                if self.ws.arming.refusal(tx) is None:
                    return
            try:
                found = before_arming.look(self.ws, by_hand=frozenset(), trusted=False)
                before_arming.arm(self.ws, found, by="ann", why="looked", by_hand=frozenset(), trusted=False)
            except Death:
                self.start()
        raise AssertionError("it was never armed")

    def pass_over(self) -> None:
        """What a pass of the engine does about sending."""
        try:
            self.ws.arming.say_so(alone=True)
            if self.ws.arming.may_send():
                work(self.ws, self.house.clock)
        except Death:
            self.start()


@pytest.fixture
def house(tmp_path: Path, ledger: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    """A workspace with one portal, and state files of its own."""
    monkeypatch.setenv("HUB_STATE", str(tmp_path / "state"))
    known = registry.connector_class
    monkeypatch.setattr(registry, "connector_class", lambda name: Scripted if name == "scripted" else known(name))
    PORTALS.clear()
    (tmp_path / "ws").mkdir()
    shutil.copy(ledger, tmp_path / "ws" / "hub.db")
    made = House(tmp_path / "ws", "hub.db", Clock())
    yield made
    for ws in made.opened:
        ws.close()


def copied(house: House, name: str) -> None:
    """A backup of the database, or its restoring."""
    for ending in ("", "-wal", "-shm"):
        (house.folder / f"hub.db{ending}").unlink(missing_ok=True)
    shutil.copy(house.folder / name, house.folder / "hub.db")


@pytest.mark.parametrize("point", WHOSE["tests/crash/test_arming_points.py"])
def test_a_death_while_it_is_stopped_restored_and_armed(
    house: House, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    """Sent, restored from before, noticed, stopped, armed: each invoice is at its portal once, whatever dies."""
    ws, portal = house.acme(repeat="safe")
    owner = Owner(house, point)
    one = receive(ws, invoice("A-1"))
    ws.close()
    shutil.copy(house.folder / "hub.db", house.folder / "backup")
    house.open()
    monkeypatch.setattr(durable, "landed", owner.landed)
    full, write = [point == "marks.taken-back"], os.write
    monkeypatch.setattr(os, "write", lambda file, told: write(file, told[: -1 if full and full.pop() else None]))
    owner.pass_over()
    owner.pass_over()
    assert 1 == len(portal.docs)

    [state] = (house.folder.parent / "state").iterdir()
    state.write_bytes(state.read_bytes() + b'["torn')
    owner.ws.db.close()
    copied(house, "backup")  # under a process that goes on
    owner.pass_over()
    owner.ws.db.close()
    copied(house, "backup")  # and before another starts
    owner.start()
    owner.pass_over()
    assert 1 == len(portal.docs)
    with owner.ws.db.reading() as tx:
        assert owner.ws.arming.refusal(tx) is not None
    owner.arm()
    owner.pass_over()
    assert 1 == len(portal.docs)

    owner.stop()
    other = receive(owner.ws, invoice("A-2"))
    owner.pass_over()
    assert (1, True) == (len(portal.docs), other > one)
    owner.arm()
    owner.pass_over()
    owner.pass_over()
    assert ["A-1", "A-2"] == [doc.number for doc in portal.docs]
    assert owner.died
    assert point in {known.name for known in points()}
