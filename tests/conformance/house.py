"""A workspace of the real hub with the connector in it, and a clock that is moved on where the hub would wait."""

from __future__ import annotations

import datetime as dt
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import URL

from conformance.desk import CONNECTION, write_workspace
from conformance.stand import Held, Stand
from hub.contract.invoice import Invoice
from hub.contract.status import Submission
from hub.delivery import admit, probe, registry, tasks
from hub.delivery.tasks import Say, Spoken
from hub.delivery.workspace import Workspace, open_workspace
from hub.engine import local
from hub.sources.read import Read
from hub.store import tables as t
from hub.store.database import Database

_ROUNDS = 40
_FIRST, _LONGEST = dt.timedelta(seconds=1), dt.timedelta(hours=1)
_GOES_ON = (Submission.DRAFT, Submission.READY, Submission.SENDING, Submission.IN_DOUBT)
THERE = (Submission.SENT, Submission.ACCEPTED)


@contextmanager
def installed(stand: type[Stand]) -> Iterator[None]:
    """Within, hub.yaml's connector of the stand's name is the stand's class, wherever that comes from."""
    known = registry.connector_class
    registry.connector_class = lambda asked: stand.connector if asked == stand.name else known(asked)
    try:
        yield
    finally:
        registry.connector_class = known


@contextmanager
def compiled_once() -> Iterator[None]:
    """Within, the engines of all workspaces share what SQLAlchemy has compiled, which is half of their time."""
    create, first = sa.create_engine, {}

    def create_engine(url: URL, **settings: Any) -> sa.Engine:
        engine = create(url, **settings)
        like = first.setdefault(engine.dialect.name, engine)
        engine.dialect, engine._compiled_cache = like.dialect, like._compiled_cache
        return engine

    sa.create_engine = create_engine
    try:
        yield
    finally:
        sa.create_engine = create


@dataclass
class House:
    """One workspace, and what a test asks of it and of the portal behind it."""

    stand: Stand
    folder: Path
    ahead: dt.timedelta = dt.timedelta()
    opened: list[Workspace] = field(default_factory=list)

    @classmethod
    def build(cls, stand: Stand, folder: Path, ledger: Path, settings: dict[str, Any] | None = None) -> House:
        """A new workspace with an empty ledger."""
        write_workspace(folder, stand, settings)
        shutil.copy(ledger, folder / "hub.db")
        return cls(stand, folder)

    def now(self) -> dt.datetime:
        """The hub's clock."""
        return dt.datetime.now(dt.UTC) + self.ahead

    @cached_property
    def ws(self) -> Workspace:
        """The workspace, open until `close`."""
        return open_workspace(self.folder, now=self.now)

    def close(self) -> None:
        """Give back what is open, as at the end of a process; it may be opened again."""
        if ws := self.__dict__.pop("ws", None):
            ws.close()

    def put(self, *invoices: Invoice, attachments: dict[str, bytes] | None = None) -> None:
        """These invoices come in."""
        for one in invoices:
            content = one.model_dump_json().encode()
            admit.receive(self.ws, Read(one, "json", attachments or {}, ""), f"{one.number}.json", content)

    def work(self, *, pause: float = 0.0) -> None:
        """Work until nothing is left to do but for people, moving the clock on instead of waiting.

        `pause` seconds are really waited before the first move: what a fault does later must have happened by then.
        """
        local.once(self.ws, quiet=0)
        step = _FIRST
        for _ in range(_ROUNDS):
            due = self._next_due()
            if due is None:
                return
            time.sleep(pause)
            pause = 0.0
            self.ahead += max(due - self.now(), dt.timedelta()) + step
            step = min(2 * step, _LONGEST)  # what stands still otherwise, as behind a breaker, has its time too
            local.once(self.ws, quiet=0)
        raise AssertionError(f"still at work after {_ROUNDS} rounds: {self.states()}")

    def _next_due(self) -> dt.datetime | None:
        """When something is next to be done; None where nothing is that a person does not stop."""
        s, now = t.submission.c, self.now()
        paused = [
            sa.exists().where(table.c.key == key, table.c.paused_at.is_not(None))
            for table, key in ((t.connection, s.connection), (t.account, s.account))
        ]
        query = sa.select(s.due_at).where(s.state.in_(_GOES_ON), *map(sa.not_, paused))
        with self.ws.db.reading() as tx:
            return min((due or now for due in tx.execute(query).scalars()), default=None)

    def rows(self, table: sa.Table, *where: sa.ColumnElement[bool]) -> list[sa.Row[Any]]:
        """Rows of a table, in the order in which they were made."""
        with self.ws.db.reading() as tx:
            return list(tx.execute(sa.select(table).where(*where).order_by(table.c.id)).all())

    def revisions(self, number: str) -> list[sa.Row[Any]]:
        """The submissions of every revision of a document, oldest first."""
        of = sa.select(t.document.c.id).where(t.document.c.number == number)
        return self.rows(t.submission, t.submission.c.document_id.in_(of))

    def last(self, number: str) -> Any:
        """The submission of a document's newest revision."""
        return self.revisions(number)[-1]

    def states(self) -> dict[str, str]:
        """The state of each document's newest revision, by number."""
        return {one.number: self.last(one.number).state for one in self.rows(t.document)}

    def attempts(self, number: str) -> list[sa.Row[Any]]:
        """Every attempt at a document, oldest first."""
        ids = [one.id for one in self.revisions(number)]
        return self.rows(t.attempt, t.attempt.c.submission_id.in_(ids))

    def tasks(self) -> list[Any]:
        """What waits for a person."""
        with self.ws.db.reading() as tx:
            return tasks.open_tasks(tx)

    def answer(self, say: Say, **more: Any) -> None:
        """A person answers the one task that waits."""
        (task,) = self.tasks()
        tasks.answer(self.ws, task.id, Spoken(say, "a person", **more))

    def stopped(self) -> list[str]:
        """Why each connection and account that stands still does so."""
        return [row.paused_why for table in (t.connection, t.account) for row in self._paused(table)]

    def _paused(self, table: sa.Table) -> list[Any]:
        with self.ws.db.reading() as tx:
            return list(tx.execute(sa.select(table).where(table.c.paused_at.is_not(None))).all())

    def resume(self) -> None:
        """The fault is over, and a person lets everything go on that it had stopped."""
        self.stand.calm()
        for task in self.tasks():
            if task.submission_id is None:
                tasks.answer(self.ws, task.id, Spoken(Say.DONE, "a person"))
        probe.check_connection(self.ws, CONNECTION)
        probe.resume(self.ws, CONNECTION, by="a person")

    def live(self, number: str) -> list[Held]:
        """What a buyer sees of this number at the portal."""
        return [one for one in self.stand.held(number) if one.live]

    def ends_well(self, *numbers: str, pause: float = 0.0) -> None:
        """Work to the end, in which each has exactly one invoice, or one task for a person; never two of either.

        What stopped the whole connection waits for a person too: he has seen to it, and the work goes on.
        """
        self.work(pause=pause)
        if self.stopped():
            for number in numbers:
                assert not self.live(number) or self.last(number).state in THERE, self.told(number)
            self.resume()
            self.work()
        about = [task.submission_id for task in self.tasks()]
        assert None not in about, "a task about the whole connection is left"
        for number in numbers:
            last, live = self.last(number), len(self.live(number))
            ids = {one.id for one in self.revisions(number)}
            waiting = sum(submission in ids for submission in about)
            if last.state in THERE:
                assert (1, 0) == (live, waiting), self.told(number)
            else:
                assert (Submission.NEEDS_HUMAN, 1) == (last.state, waiting), self.told(number)
                assert live <= 1, self.told(number)

    def told(self, number: str) -> str:
        """What became of a document, for whoever reads a failure."""
        ids = [one.id for one in self.revisions(number)]
        moves = self.rows(t.transition, t.transition.c.submission_id.in_(ids))
        told = [f"{one.before} → {one.after}: {one.why}" for one in moves]
        at_portal = [(one.number, one.total, one.live) for one in self.stand.held(number)]
        return "\n".join(
            ["", *told, f"at the portal: {at_portal}", *self.stopped(), *(one.title for one in self.tasks())]
        )

    def rewind(self) -> None:
        """Forget how far statuses were read, as a restored backup does."""
        with self.ws.db.writing("test.rewind") as tx:
            tx.execute(t.connection.update().where(t.connection.c.key == CONNECTION).values(cursor=None))


def empty_ledger(folder: Path) -> Path:
    """A SQLite file with an empty ledger, to begin with copies of it."""
    path = folder / "empty.db"
    db = Database(f"sqlite:///{path}")
    db.migrate()
    db.close()
    return path
