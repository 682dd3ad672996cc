"""One working day of a small company, on which the process dies at chosen points and is started again each time.

Nothing is cleaned up by the one that died. Each lane is a customer with a portal of its own kind and a trouble of its
own; all that anybody does is decided by what the ledger, the folders and the portals show, as after a real restart.
"""

from __future__ import annotations

import contextlib
import shutil
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import test_outcomes
from delivery_house import House, Lane, invoice, open_tasks, row, rows, work
from portal_in_memory import PORTALS, Clock, Death
from sqlalchemy.engine import URL

from hub import durable
from hub.contract.connector import FoundState, Lookup, Repeat
from hub.contract.status import Stage
from hub.delivery import admit, audit, check, collect, deliver, probe, reconcile, recording, registry, tasks, workspace
from hub.delivery.evidence import verify
from hub.delivery.recording import Said, Which
from hub.delivery.tasks import Say, Spoken
from hub.delivery.workspace import Workspace
from hub.engine import work as engine_work
from hub.store import tables as t
from tests.crash.points import place
from tests.crash.troubles import REFUSED, TROUBLES, Site, Telling

NOBODY = ""  # whose doing the opening of a workspace is
LIVE = (FoundState.SUBMITTED, FoundState.DRAFT)


@dataclass(frozen=True)
class Case:
    """One lane: what goes wrong, at what kind of portal, and behind which points the process dies on its way."""

    trouble: str
    lookup: Lookup = Lookup.EXACT
    repeat: Repeat = Repeat.UNSAFE
    unique: bool = False
    early: bool = False  # statuses are asked for while it is still on its way
    deaths: tuple[str, ...] = ()
    nth: int = 1  # at which crossing of each

    def __str__(self) -> str:
        kind = f"{self.repeat}, {self.lookup}, {'unique numbers' if self.unique else 'any number'}"
        deaths = " and ".join(self.deaths) or "none"
        return f"{self.trouble} at ({kind}{', early polls' if self.early else ''}), deaths: {deaths} ({self.nth})"


@dataclass
class Trap:
    """Stands in for `hub.durable.landed`: counts what is crossed, and lets the process die where it shall."""

    day: Day
    _thread: threading.local = field(default_factory=threading.local)
    crossed: Counter[tuple[str, str]] = field(default_factory=Counter)
    died: list[tuple[str, str]] = field(default_factory=list)

    @property
    def at(self) -> str:
        """The lane that this thread works on."""
        return getattr(self._thread, "at", NOBODY)

    @at.setter
    def at(self, key: str) -> None:
        self._thread.at = key

    def __call__(self, what: str) -> None:
        point = place(what)
        self.crossed[self.at, point] += 1
        case = self.day.cases.get(self.at)
        if case is None:
            return
        if point in case.deaths and self.crossed[self.at, point] == case.nth:
            self.died.append((self.at, point))
            self.day.die()
        mischief = TROUBLES[case.trouble].at.get(point) if self.at != NOBODY else None
        if mischief is not None and self.crossed[self.at, point] == 1 + (point in case.deaths and case.nth == 1):
            mischief(self.day, self.at)


@dataclass
class Day:
    """The company, its customers and what happened to each."""

    house: House
    cases: dict[str, Case]
    became: dict[str, str] = field(default_factory=dict)  # each lane's invoice before a person was asked

    def __post_init__(self) -> None:
        self.trap = Trap(self)

    @property
    def ws(self) -> Workspace:
        """The workspace as the present process has it."""
        return self.house.opened[-1]

    def landed(self, what: str) -> None:
        """Stands in for `hub.durable.landed`."""
        self.trap(what)

    def die(self) -> None:
        """The process ends here."""
        raise Death

    # --- what happens --------------------------------------------------------------------------------------------

    def play(self) -> None:
        """The whole day; at its end each portal has each invoice once, and the ledger knows it."""
        self.set_up()
        with pytest.MonkeyPatch.context() as patch:
            self.watch(patch)
            self.start()
            self.each(self.take_in)
            for piece in (self.send, self.mend, self.send):
                self.through(piece)
            self.check_before_answers()
            self.each(self.look_again)
            self.through(self.mend)
            self.each(self.look_again)
            self.through(self.ask_people)
            self.each(self.hear)
            self.each(self.notice)
            self.through(self.ask_people)
            self.check_answered()
            self.each(self.run_errands)
            self.through(self.ask_people)
            self.each(self.hear)
            self.through(self.ask_people)
            self.check_end()

    def lanes(self) -> list[str]:
        return [key for key in self.cases if key != NOBODY]

    def set_up(self) -> None:
        """The portals and hub.yaml."""
        made = []
        for key in self.lanes():
            case = self.cases[key]
            trouble = TROUBLES[case.trouble]
            made.append(Lane(key, {"repeat": case.repeat, "lookup": case.lookup, **trouble.settings}))
            PORTALS[key] = self.site(key, case)
        self.house.write(*made)

    def site(self, _key: str, case: Case) -> Site:
        """A lane's portal."""
        trouble = TROUBLES[case.trouble]
        site = Site(self.house.clock, case.repeat, case.unique, acts=deque(trouble.acts), finds=deque(trouble.finds))
        site.polls, site.lag = deque(trouble.polls), trouble.lag
        site.day, site.trouble = self, trouble
        return site

    def watch(self, patch: pytest.MonkeyPatch) -> None:
        """Let the connector be ours, the trap hear of every durable write, and know whose each piece of work is."""
        known = registry.connector_class
        patch.setattr(registry, "connector_class", lambda name: Telling if name == "scripted" else known(name))
        patch.setattr(durable, "landed", self.landed)
        patch.setattr(sa, "create_engine", _compiled_once)
        patch.setattr(workspace, "load_config", lru_cache(workspace.load_config))  # nobody changes hub.yaml meanwhile
        for module, name in ((check, "check"), (deliver, "deliver"), (reconcile, "reconcile"), (admit, "withdraw")):
            patch.setattr(module, name, self.of_its_lane(getattr(module, name)))

    def of_its_lane(self, piece: Callable[..., Any]) -> Callable[..., Any]:
        """A piece of work on a submission, done in the name of its lane."""

        def do(ws: Workspace, submission_id: int, *args: Any, **more: Any) -> Any:
            document = sa.select(t.document.c.customer).join(
                t.submission, t.submission.c.document_id == t.document.c.id
            )
            with ws.db.reading() as tx:
                key = tx.execute(document.where(t.submission.c.id == submission_id)).scalar_one()
            with self.at(self.trap.at if key.startswith("?") else key):
                if piece.__name__ == "reconcile" and self.cases[key].early:
                    collect.collect(ws, key)
                return piece(ws, submission_id, *args, **more)

        do.__name__ = piece.__name__
        return do

    @contextlib.contextmanager
    def at(self, key: str) -> Iterator[None]:
        before, self.trap.at = self.trap.at, key
        yield  # a death leaves it as it is: what is recovered then is this lane's
        self.trap.at = before

    def through(self, piece: Callable[[], None]) -> None:
        """Do it, start again after each death, and go on with it until it is done."""
        while True:
            try:
                piece()
            except Death:
                self.start()
            else:
                return

    def start(self) -> None:
        """A new process: nothing of the one that died was put in order."""
        while True:
            dead = list(self.house.opened)
            try:
                was = self.trap.at
                with self.at(NOBODY):
                    self.house.open()
                self.trap.at = was
                for ws in dead:
                    self.ws._requirements.update(ws._requirements)  # nor a rule, to read it anew after each death
                    ws.arming._marks = None  # the dead tell their state file nothing at their end
                    ws.close()  # only now: its files were open to the last, as a dead one leaves them
                del self.house.opened[:-1]
                alone = self.ws.db.is_sqlite
                if not alone:  # then the lease decides whether somebody may still be sending
                    self.house.clock.now += deliver.LEASE
                    self.house.clock.forward(seconds=1)
                reconcile.recover(self.ws, alone=alone)
            except Death:
                continue
            self.trap.at = NOBODY
            return

    def each(self, piece: Callable[[str], object]) -> None:
        """One lane after the other."""

        def do(key: str) -> None:
            with self.at(key):
                piece(key)

        for key in self.lanes():
            self.through(partial(do, key))

    def take_in(self, key: str) -> None:
        """A lane's invoice lies in the inbox, until it does no more."""
        self.drop(f"{key}.json", invoice("A-1", key).model_dump_json(exclude_none=True).encode())
        if TROUBLES[self.cases[key].trouble].errands:
            self.drop(f"{key}.html", b"<html></html>")

    def drop(self, name: str, content: bytes) -> None:
        folder = self.house.folder
        if not any((folder / place / name).exists() for place in ("inbox", "done", "refused")):
            (folder / "inbox").mkdir(exist_ok=True)
            (folder / "inbox" / name).write_bytes(content)
        while (folder / "inbox" / name).exists():
            list(engine_work.scan(self.ws, "inbox", quiet=0))

    def send(self) -> None:
        work(self.ws, self.house.clock)

    def hear(self, key: str) -> None:
        """A portal is asked what is new."""
        collect.collect(self.ws, key)

    def look_again(self, key: str) -> None:
        """What a portal did not show before is looked for once more."""
        if lag := TROUBLES[self.cases[key].trouble].lag:
            self.house.clock.now += lag
            audit.look(self.ws, self.newest(key))

    def notice(self, key: str) -> None:
        """What a portal never said is noticed."""
        if TROUBLES[self.cases[key].trouble].silent:
            self.house.clock.forward(minutes=31)
            collect.overdue(replace(self.ws, portals={key: self.ws.portals[key]}))

    def mend(self) -> None:
        """An admin mends what was paused."""
        for key in self.paused():
            with self.at(key):
                probe.resume(self.ws, key, by="ann")

    def paused(self) -> list[str]:
        with self.ws.db.reading() as tx:
            return [
                key
                for table in (t.connection, t.account)
                for key in tx.scalars(sa.select(table.c.key).where(table.c.paused_at.is_not(None)))
            ]

    def ask_people(self) -> None:
        """People answer what is true and mend what is paused, until nothing more is asked."""
        self.send()
        while open_tasks(self.ws) or self.paused():
            self.mend()
            for task in open_tasks(self.ws):
                with self.at(task.connection):
                    self.restore(task.connection)
                    self.answer(task)
            self.send()

    def answer(self, task: sa.Row[Any]) -> None:
        """The truth: it is there, it is not, or the portal shows it as refused."""
        portal = PORTALS[task.connection]
        mine = row(self.ws, task.submission_id).payload_id if task.submission_id else None
        if any(doc.payload_id == mine and doc.state is FoundState.REFUSED for doc in portal.docs):
            tasks.answer(self.ws, task.id, Spoken(Say.REFUSED, "ann", words=test_outcomes.WHY[0].text))
        else:
            test_outcomes.answer_truly(self.ws, task.id, task.submission_id, portal)

    def run_errands(self, key: str) -> None:
        """A refused invoice goes once more; another is taken back before it goes; and a person hears of a payment."""
        newest = row(self.ws, self.newest(key))
        errands = TROUBLES[self.cases[key].trouble].errands
        if newest.state == "refused":
            admit.send_again(self.ws, newest.id, by="ann", why="they will take it now")
        elif errands and newest.sent_at and newest.stage != Stage.PAID:
            recording.record(self.ws, Said(Which("A-1", key), Stage.PAID), by="ann")
        if errands:
            self.drop(f"{key}-back.json", invoice("B-1", key).model_dump_json(exclude_none=True).encode())
            mine = self.newest(key, "B-1")
            if row(self.ws, mine).state != "withdrawn":
                admit.withdraw(self.ws, mine, by="ann", why="a mistake")

    # --- what is true ----------------------------------------------------------------------------------------------

    def newest(self, key: str, number: str = "A-1") -> int:
        """The newest submission of a lane's invoice; there must be one."""
        s, d = t.submission.c, t.document.c
        mine = sa.select(sa.func.max(s.id)).join(t.document, s.document_id == d.id)
        with self.ws.db.reading() as tx:
            found = tx.execute(mine.where(d.customer == key, d.number == number)).scalar_one()
        assert found is not None, f"{self.cases[key]}: {number} was lost"
        return int(found)

    def damage(self, key: str) -> None:
        """The stored document of a lane's invoice is gone."""
        for step in rows(self.ws, t.step, t.step.c.submission_id == self.newest(key)):
            hidden = self.house.folder / "hidden" / key
            hidden.mkdir(parents=True, exist_ok=True)
            self.ws.blobs.path(step.body_sha256).rename(hidden / step.body_sha256)

    def restore(self, key: str) -> None:
        """A person brings it back from a backup."""
        for path in (self.house.folder / "hidden" / key).glob("*"):
            path.rename(self.ws.blobs.path(path.name))

    def check_before_answers(self) -> None:
        """Each is at its portal at most once, and a person is asked about it exactly where the ledger says so."""
        for key in self.lanes():
            mine = self.newest(key)
            test_outcomes.agree(self.ws, mine, PORTALS[key], str(self.cases[key]))
            self.became[key] = row(self.ws, mine).state

    def check_answered(self) -> None:
        """Each is at its portal once, or was refused there; nothing waits any more."""
        for key in self.lanes():
            case, one, live = self.cases[key], row(self.ws, self.newest(key)), PORTALS[key].live()
            test_outcomes.agree(self.ws, one.id, PORTALS[key], f"{case}, answered")
            states = ("refused",) if not live and case.trouble in REFUSED else ("sent", "accepted")
            assert one.state in states, f"{case}, answered: {one.state}"

    def check_end(self) -> None:
        """Each invoice is at its portal once, the one taken back is not, every file is where it belongs."""
        folder = self.house.folder
        for key in self.lanes():
            case, one = self.cases[key], row(self.ws, self.newest(key))
            live = [doc.number for doc in PORTALS[key].docs if doc.state in LIVE]
            assert (["A-1"], True) == (live, one.state in ("sent", "accepted")), f"{case}, at the end: {one.state}"
            errands = TROUBLES[case.trouble].errands
            numbers = ["A-1", "B-1"] if errands else ["A-1"]
            documents = rows(self.ws, t.document, t.document.c.customer == key)
            assert numbers == [document.number for document in documents], case
            again = sum(doc.state is FoundState.REFUSED for doc in PORTALS[key].docs) + (case.trouble in REFUSED)
            revisions = rows(self.ws, t.revision, t.revision.c.document_id == documents[0].id)
            assert 1 <= len(revisions) <= 1 + again, case
            if errands:
                assert "withdrawn" == row(self.ws, self.newest(key, "B-1")).state, case
                assert (folder / "refused" / f"{key}.html.reason.txt").exists(), case
                assert (folder / "refused" / f"{key}.html").exists(), case
            assert [] == [path.name for path in (folder / "inbox").glob(f"{key}*")], case
            assert (folder / "done" / f"{key}.json").exists(), case
            taken = [
                (one.name, one.outcome, one.sha256) for one in rows(self.ws, t.intake) if one.name.startswith(f"{key}.")
            ]
            assert len(set(taken)) == len(taken), f"{case}: {taken}"
        assert [] == open_tasks(self.ws)
        with self.ws.db.reading() as tx:
            assert verify(tx, self.ws.blobs)[1] == ()


_create_engine = sa.create_engine
_first: dict[str, sa.Engine] = {}


def _compiled_once(url: URL, **settings: Any) -> sa.Engine:
    """A process that starts again has an engine of its own; what SQLAlchemy has compiled is shared, to save time."""
    engine = _create_engine(url, **settings)
    like = _first.setdefault(engine.dialect.name, engine)
    engine.dialect, engine._compiled_cache = like.dialect, like._compiled_cache
    return engine


def day(
    folder: Path,
    cases: Sequence[Case],
    *,
    ledger: Path | None = None,
    opening: Case | None = None,
    database: str = "hub.db",
) -> Day:
    """A day with these lanes in a new folder, played to its end; it begins with a copy of `ledger`, or without one."""
    PORTALS.clear()
    folder.mkdir(parents=True, exist_ok=True)
    if ledger is not None:
        shutil.copy(ledger, folder / "hub.db")
    named = {f"c{n}": case for n, case in enumerate(cases)}
    if opening is not None:
        named[NOBODY] = opening
    made = Day(House(folder, database, Clock()), named)
    try:
        made.play()
    finally:
        for ws in made.house.opened:
            ws.close()
    return made
