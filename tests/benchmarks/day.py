"""`day`: how soon a rejection is seen on a simulated day, and how many requests that costs.

Invoices lie open at portals in memory, more are submitted through the day, and some are rejected, most of them in their
first hour. The clock is moved from one thing that happens to the next; ledger, collecting and planning are the real
ones, and polls come at the scheduler's own ticks. The portal answers for a whole connection, 100 changed rows a page.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import heapq
import json
import math
import random
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from hub.contract import connector as contract
from hub.contract.connector import (
    Answer,
    Capabilities,
    Checked,
    Context,
    Found,
    InvoiceKey,
    Lookup,
    MappedInvoice,
    OpenRef,
    Page,
    Prior,
    Receipt,
    Refs,
    Stamp,
    StatusEvent,
    Step,
)
from hub.contract.invoice import Kind
from hub.contract.status import Concerns, Stage, Submission
from hub.delivery import collect, ledger, registry
from hub.delivery.lifecycle import Happening
from hub.delivery.workspace import Workspace, open_workspace
from hub.engine.local import PLAN_EVERY
from hub.engine.polling import WHOLE, budget_of, plan_of
from hub.store import tables as t
from tests.benchmarks.result import Result

MIDNIGHT = dt.datetime(2026, 11, 23, 0, 0, tzinfo=dt.UTC)  # a Monday
HOUR = dt.timedelta(hours=1)
SOON = dt.timedelta(minutes=5)
PAGE = 100  # rows
TARGET_SEEN, TARGET_REQUESTS = 0.95, 1.2


@dataclass(frozen=True)
class Size:
    """How much happens."""

    connections: int = 8
    accounts: int = 40
    open_before: int = 2_000
    submitted: int = 1_000
    hours: int = 24


@dataclass(frozen=True)
class Change:
    """Something that a portal will have to tell from then on."""

    at: dt.datetime
    payload_id: str
    word: str
    concerns: Concerns = Concerns.STAGE


@dataclass
class Portal:
    """What one connection's portal has to tell, in order, and how often it was asked."""

    changes: list[Change] = field(default_factory=list)
    requests: list[dt.datetime] = field(default_factory=list)


@dataclass
class Clock:
    """The time of the day."""

    now: dt.datetime = MIDNIGHT

    def __call__(self) -> dt.datetime:
        return self.now


PORTALS: dict[str, Portal] = {}
CLOCK = Clock()


class _Settings(contract.Settings):
    portal: str


class Listing(contract.Connector):
    """Asks its portal for what has changed since the cursor: a page a request, until a page is not full."""

    Settings = _Settings
    version = "1"
    settings: _Settings

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(
            documents=frozenset({Kind.INVOICE}),
            lookup=Lookup.NONE,
            settles_within=dt.timedelta(0),
            intake=Answer.ASYNC,
            statuses=True,
            stages=frozenset(Stage),
        )

    def statuses(self, cursor: str | None, open_refs: Sequence[OpenRef]) -> Iterator[Page]:  # noqa: ARG002
        portal, begin = PORTALS[self.settings.portal], int(cursor or 0)
        while True:
            portal.requests.append(CLOCK.now)
            rows = [change for change in portal.changes[begin : begin + PAGE] if change.at <= CLOCK.now]
            events = (
                StatusEvent(
                    event_id=f"{change.payload_id} {change.word}",
                    refs=Refs(payload_id=change.payload_id),
                    concerns=change.concerns,
                    word=change.word,
                    raw=change.word,
                    observed_at=CLOCK.now,
                    happened_at=change.at,
                )
                for change in rows
            )
            begin += len(rows)
            yield Page(tuple(events), str(begin))
            more = begin < len(portal.changes) and portal.changes[begin].at <= CLOCK.now
            if not more:  # the portal's page says whether another follows
                return

    def check(self) -> Checked:
        return Checked((), ())

    def prepare(self, invoice: MappedInvoice, stamp: Stamp, prior: Prior | None) -> tuple[Step, ...]:
        raise NotImplementedError

    def submit(self, step: Step, done: Mapping[str, Receipt]) -> Receipt:
        raise NotImplementedError

    def find(self, key: InvoiceKey) -> list[Found]:
        raise NotImplementedError

    def __init__(self, settings: _Settings, context: Context) -> None:
        super().__init__(settings, context)


@dataclass(frozen=True)
class Told:
    """What became of the day."""

    young: tuple[float, ...]  # seconds until a rejection of the first hour was seen
    older: tuple[tuple[float, float], ...]  # the same later, with the poll interval that was announced then
    unseen: int
    requests: int
    least: float
    worst_hour: float  # requests for statuses in any hour, as a part of the connection's budget
    polls: int

    @property
    def seen_soon(self) -> float:
        """The part of the first hour's rejections that was seen within five minutes."""
        return sum(seconds <= SOON.total_seconds() for seconds in self.young) / len(self.young)

    @property
    def seen_in_time(self) -> float:
        """The part of the later ones that was seen within one announced interval and the scheduler's tick."""
        tick = PLAN_EVERY.total_seconds()
        return sum(seconds <= interval + tick for seconds, interval in self.older) / len(self.older)

    @property
    def ratio(self) -> float:
        """Requests against the least possible."""
        return self.requests / self.least


@dataclass
class Day:
    """A day at work."""

    ws: Workspace
    size: Size
    dice: random.Random
    submissions: list[tuple[dt.datetime, int, str]] = field(default_factory=list)  # when, which, through what
    rejected: dict[str, tuple[str, dt.datetime, dt.datetime]] = field(default_factory=dict)
    announced: dict[str, list[tuple[dt.datetime, dt.timedelta]]] = field(default_factory=dict)
    next_poll: dict[str, dt.datetime] = field(default_factory=dict)
    polls: int = 0

    def prepare(self) -> None:
        """Write what is open, what will be submitted, and what the portals will say of it."""
        with self.ws.db.writing("test") as tx:
            for number in range(self.size.open_before + self.size.submitted):
                self._invoice(tx, number, old=number < self.size.open_before)
        for portal in PORTALS.values():
            portal.changes.sort(key=lambda change: change.at)
        self.submissions.sort()

    def _invoice(self, tx: sa.Connection, number: int, *, old: bool) -> None:
        account = number % self.size.accounts
        connection = f"c{account % self.size.connections}"
        if old:
            sent_at = MIDNIGHT - self.dice.uniform(1, 30 * 24) * HOUR
        else:  # most of it between seven and six
            sent_at = (
                MIDNIGHT
                + self.dice.triangular(min(6, self.size.hours / 3), min(20, self.size.hours - 2), self.size.hours / 2.2)
                * HOUR
            )
        payload_id = f"{number}@day"
        document = {"entity": "us", "customer": f"a{account}", "kind": "invoice", "number": f"N-{number}"}
        document_id = _put(tx, t.document, **document, number_key=f"n-{number}", created_at=MIDNIGHT)
        revision_id = _put(
            tx, t.revision, document_id=document_id, seq=1, content_sha256="0" * 64, invoice="{}", source="json",
            source_name="", source_sha256="0" * 64, created_at=MIDNIGHT, created_by="hub", shown_number=f"N-{number}",
            issue_date=sent_at.date(), due_date=sent_at.date() + dt.timedelta(days=30), currency="EUR",
            total=Decimal(121), payable=Decimal(121),
        )  # fmt: skip
        went = {"sent_at": sent_at, "first_attempt_at": sent_at, "last_attempt_at": sent_at, "intake_at": sent_at}
        known = {"state": Submission.ACCEPTED, "since": sent_at, "stage": Stage.RECEIVED, **went}
        submission_id = _put(
            tx, t.submission, document_id=document_id, revision_id=revision_id, account=f"a{account}",
            connection=connection, portal_customer=f"C{account}", payload_id=payload_id, requirements_version="1",
            **(known if old else {"state": Submission.READY, "since": MIDNIGHT}),
        )  # fmt: skip
        if not old:
            self.submissions.append((sent_at, submission_id, connection))
        self._future(PORTALS[connection], payload_id, connection, sent_at, old=old)

    def _future(self, portal: Portal, payload_id: str, connection: str, sent_at: dt.datetime, *, old: bool) -> None:
        dice, changes = self.dice, portal.changes
        ends = MIDNIGHT + self.size.hours * HOUR
        if not old:
            accepted = sent_at + dt.timedelta(minutes=dice.uniform(0.5, 4))
            changes.append(Change(accepted, payload_id, "accepted", Concerns.INTAKE))
        if dice.random() < (0.08 if old else 0.3):
            early = not old and dice.random() < 0.75
            wait = dt.timedelta(minutes=min(59.9, dice.expovariate(1 / 20))) if early else dice.uniform(1, 12) * HOUR
            at = max(sent_at, MIDNIGHT) + wait
            if at < ends - 4 * HOUR or early:
                changes.append(Change(at, payload_id, "rejected"))
                self.rejected[payload_id] = (connection, sent_at, at)
        elif old and connection == "c0":  # a buyer's payment run: many at once
            changes.append(Change(MIDNIGHT + 9 * HOUR, payload_id, "scheduled"))
        elif dice.random() < 0.3:
            changes.append(Change(max(sent_at, MIDNIGHT) + dice.uniform(2, 12) * HOUR, payload_id, "in_review"))

    def live(self) -> None:
        """From one thing that happens to the next."""
        waiting = list(self.submissions)
        heapq.heapify(waiting)
        for key in PORTALS:
            self.plan(key)
        ends = MIDNIGHT + self.size.hours * HOUR
        while True:
            key = min(self.next_poll, key=lambda one: self.next_poll[one])
            if waiting and waiting[0][0] <= self.next_poll[key]:
                CLOCK.now, submission_id, key = heapq.heappop(waiting)
                self.send(submission_id)
            elif self.next_poll[key] < ends:
                CLOCK.now = self.next_poll[key]
                self.poll(key)
            else:
                return
            self.plan(key)

    def send(self, submission_id: int) -> None:
        """It is claimed and arrives."""
        at = CLOCK.now
        with self.ws.db.writing("test") as tx:
            assert ledger.claim(tx, submission_id, owner="day", until=at + HOUR, at=at) is not None
            went = {"sent_at": at, "first_attempt_at": at, "last_attempt_at": at}
            ledger.move(tx, submission_id, Happening.DELIVERED, at=at, why="the portal took it", **went)

    def poll(self, key: str) -> None:
        """What the scheduler does at its tick."""
        due = plan_of(self.ws, key, by_customer=False).due
        if due:
            collect.collect(self.ws, key, due)
            self.polls += 1

    def plan(self, key: str) -> None:
        """When this connection's next poll is, at the first tick from then on, and what interval is announced."""
        planned = plan_of(self.ws, key, by_customer=False)
        assert planned.next_at is not None
        ticks = math.ceil((planned.next_at - MIDNIGHT) / PLAN_EVERY)
        self.next_poll[key] = max(MIDNIGHT + ticks * PLAN_EVERY, CLOCK.now)
        self.announced.setdefault(key, []).append((CLOCK.now, planned.intervals[WHOLE]))

    def told(self) -> Told:
        """What the ledger and the portals say of the day."""
        e, s = t.event.c, t.submission.c
        query = sa.select(s.payload_id, e.stored_at).join(t.submission, e.submission_id == s.id)
        with self.ws.db.reading() as tx:
            seen = {row.payload_id: row.stored_at for row in tx.execute(query.where(e.word == "rejected"))}
        young, older, unseen = [], [], 0
        for payload_id, (connection, sent_at, at) in self.rejected.items():
            if payload_id not in seen:
                unseen += 1
                continue
            took = (seen[payload_id] - at).total_seconds()
            if at - sent_at <= HOUR:
                young.append(took)
            else:
                interval = [every for since, every in self.announced[connection] if since <= at][-1]
                older.append((took, interval.total_seconds()))
        requests = sum(len(portal.requests) for portal in PORTALS.values())
        hours = (self._worst(key, portal) for key, portal in PORTALS.items())
        return Told(tuple(young), tuple(older), unseen, requests, self._least(), max(hours), self.polls)

    def _least(self) -> float:
        """One request for each interval that was announced, while it stood, and one for each further page."""
        ends = MIDNIGHT + self.size.hours * HOUR
        due = sum(
            (until - since) / every
            for plans in self.announced.values()
            for (since, every), (until, _) in pairwise([*plans, (ends, HOUR)])
        )
        pages = sum(len(portal.requests) for portal in PORTALS.values()) - self.polls
        return due + pages

    def _worst(self, key: str, portal: Portal) -> float:
        one = self.ws.config.connections[key]
        budget = budget_of(one.limits, one.polls_per_hour)
        assert budget is not None
        return max(sum(at <= other < at + HOUR for other in portal.requests) for at in portal.requests) / budget


def _put(tx: sa.Connection, table: sa.Table, **values: object) -> int:
    made: int = tx.execute(table.insert().values(**values).returning(table.c.id)).scalar_one()
    return made


def _quick(raw: Any, _record: object) -> None:
    raw.execute("PRAGMA synchronous = OFF").close()


def simulate(folder: Path, size: Size, seed: int = 7) -> Told:
    """The day in a new workspace in `folder`."""
    CLOCK.now = MIDNIGHT
    PORTALS.clear()
    connections = {f"c{n}": Portal() for n in range(size.connections)}
    PORTALS.update(connections)
    hub_yaml = {
        "entities": {"us": {"name": "Northern Pumps"}},
        "customers": {f"a{n}": {"name": f"Customer {n}"} for n in range(size.accounts)},
        "connections": {
            key: {"connector": "listing", "settings": {"portal": key}, "limits": {"per_minute": 20, "per_hour": 60}}
            | ({"polls_per_hour": 14} if n % 2 else {})
            for n, key in enumerate(connections)
        },
        "accounts": {
            f"a{n}": {
                "entity": "us",
                "customer": f"a{n}",
                "connection": f"c{n % size.connections}",
                "portal_customer": f"C{n}",
            }
            for n in range(size.accounts)
        },
    }
    (folder / "hub.yaml").write_text(json.dumps(hub_yaml), encoding="utf-8")
    known = registry.connector_class
    with pytest.MonkeyPatch.context() as patch, contextlib.ExitStack() as stack:
        patch.setattr(registry, "connector_class", lambda name: Listing if name == "listing" else known(name))
        ws = open_workspace(folder, now=CLOCK)
        stack.callback(ws.close)
        ws.db.engine.dispose()
        sa.event.listen(ws.db.engine, "connect", _quick)  # this day need survive nothing
        day = Day(ws, size, random.Random(seed))  # noqa: S311 - a day that can be repeated
        day.prepare()
        day.live()
        return day.told()


def run() -> Iterator[Result]:
    """The whole day."""
    with tempfile.TemporaryDirectory() as folder:
        told = simulate(Path(folder), Size())
    slowest = max(told.young)
    yield Result("day_seen_5min", 100 * told.seen_soon, "%", f"{len(told.young)} rejected in the first hour")
    yield Result("day_seen_interval", 100 * told.seen_in_time, "%", f"{len(told.older)} rejected later")
    yield Result("day_slowest_first_hour", slowest, "s", f"{told.unseen} unseen")
    yield Result("day_requests", told.requests, "requests", "the least possible", told.ratio)
    yield Result("day_worst_hour", 100 * told.worst_hour, "% of budget", f"{told.polls} polls")
