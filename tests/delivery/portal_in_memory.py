"""A portal in memory that does as it is told, and the connector to it."""

from __future__ import annotations

import datetime as dt
import json
import threading
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from hub.contract import connector as contract
from hub.contract.connector import (
    Answer,
    Capabilities,
    Checked,
    Context,
    Found,
    FoundState,
    InvoiceKey,
    Lookup,
    MappedInvoice,
    OpenRef,
    Page,
    Prior,
    Receipt,
    Refs,
    Repeat,
    Stamp,
    Step,
)
from hub.contract.errors import Duplicate, Reason
from hub.contract.invoice import Kind, Money
from hub.contract.status import Intake, Stage

START = dt.datetime(2031, 3, 14, 9, 30, tzinfo=dt.UTC)


class Clock:
    """The time in a test; it moves when it is told to."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> dt.datetime:
        return self.now

    def forward(self, **time: float) -> None:
        self.now += dt.timedelta(**time)


class Death(BaseException):
    """The process dies here."""


@dataclass
class Doc:
    """One document at the portal."""

    portal_id: str
    payload_id: str
    number: str
    customer: str
    total: Money
    state: FoundState
    since: dt.datetime
    content: str = ""
    reasons: tuple[Reason, ...] = ()


Act = Callable[["Portal", dict[str, Any]], Receipt]


@dataclass
class Portal:
    """What a portal holds, and how it acts. Each submit takes the next of `acts`; after those it takes what comes."""

    clock: Clock
    repeat: Repeat = Repeat.UNSAFE
    unique_numbers: bool = False
    lag: dt.timedelta = dt.timedelta(0)  # so long after it came is a document missing in its search
    docs: list[Doc] = field(default_factory=list)
    acts: deque[Act] = field(default_factory=deque)
    finds: deque[Callable[[], object]] = field(default_factory=deque)  # called by the next lookups
    pages: list[Callable[[], Page]] = field(default_factory=list)
    sent: list[bytes] = field(default_factory=list)  # every body that came by the wire
    asked: int = 0
    intake: Intake = Intake.PENDING
    lock: threading.RLock = field(default_factory=threading.RLock)

    def live(self, number: str | None = None) -> list[Doc]:
        """What a buyer would see."""
        states = (FoundState.SUBMITTED, FoundState.DRAFT)
        return [doc for doc in self.docs if doc.state in states and number in (None, doc.number)]

    def take(self, told: dict[str, Any]) -> Doc:
        """A document comes in: it is new, known by its payload id, or refused as a second one."""
        with self.lock:
            total = Money(Decimal(told["total"]), told["currency"])
            same = [doc for doc in self.docs if doc.payload_id == told["payload_id"]]
            if told["step"] != "create" and same:
                same[0].state, same[0].content = FoundState(told["leaves"]), told["content"]
                return same[0]
            if same and self.repeat is Repeat.SAFE:
                return same[0]
            if (same and self.repeat is Repeat.REFUSES) or (self.unique_numbers and self.live(told["number"])):
                words = f"number {told['number']} exists already"
                raise Duplicate(words, reasons=(Reason(words),))
            key = f"P-{len(self.docs) + 1}"
            state = FoundState(told["leaves"])
            self.docs.append(
                Doc(
                    key, told["payload_id"], told["number"], told["customer"], total, state, self.clock(),
                    told["content"],
                )
            )  # fmt: skip
            return self.docs[-1]

    def receipt(self, doc: Doc) -> Receipt:
        """The yes to a document."""
        refs = Refs(doc.payload_id, doc.portal_id, doc.number, doc.customer)
        return Receipt(refs, self.intake, f"<yes>{doc.portal_id}</yes>".encode(), "thank you")

    def shown(self, doc: Doc) -> Found:
        """A document as its search shows it."""
        refs = Refs(None, doc.portal_id, doc.number, doc.customer)
        return Found(refs, doc.number, doc.customer, doc.total, doc.state, doc.portal_id.encode(), doc.reasons)


def ok(portal: Portal, told: dict[str, Any]) -> Receipt:
    """It is taken, and the answer comes."""
    return portal.receipt(portal.take(told))


def raises(error: Callable[[], BaseException], *, arrives: bool = False) -> Act:
    """This is raised; `arrives`: after the portal took the document."""

    def act(portal: Portal, told: dict[str, Any]) -> Receipt:
        if arrives:
            portal.take(told)
        raise error()

    return act


PORTALS: defaultdict[str, Portal] = defaultdict(lambda: Portal(Clock()))


class ScriptedSettings(contract.Settings):
    """Which portal in memory, and what the connector says of it."""

    portal: str
    lookup: Lookup = Lookup.EXACT
    repeat: Repeat = Repeat.UNSAFE
    settles: float = 30.0  # seconds
    acknowledged: float | None = None  # minutes
    steps: int = 1
    people: bool = False


class Scripted(contract.Connector):
    """The connector to a portal in memory. A document goes in one step, or as a draft, its details and a submit."""

    Settings = ScriptedSettings
    version = "7"
    settings: ScriptedSettings

    def __init__(self, settings: ScriptedSettings, context: Context) -> None:
        super().__init__(settings, context)
        self.portal = PORTALS[settings.portal]

    @property
    def capabilities(self) -> Capabilities:
        minutes = self.settings.acknowledged
        return Capabilities(
            documents=frozenset((Kind.INVOICE, Kind.CREDIT, Kind.DEBIT)),
            lookup=self.settings.lookup,
            settles_within=dt.timedelta(seconds=self.settings.settles),
            intake=Answer.ASYNC,
            acknowledged_within=None if minutes is None else dt.timedelta(minutes=minutes),
            statuses=True,
            stages=frozenset(Stage),
            max_parallel=4,
            people=self.settings.people,
        )

    def check(self) -> Checked:
        return Checked((), ())

    def prepare(self, invoice: MappedInvoice, stamp: Stamp, prior: Prior | None) -> tuple[Step, ...]:
        one = invoice.invoice
        is_draft = prior is not None and prior.state is FoundState.DRAFT
        payload_id = prior.refs.payload_id if is_draft and prior else stamp.payload_id
        told = {
            "number": one.shown_number,
            "customer": invoice.fields.get("customer", ""),
            "total": str(one.total.amount),
            "currency": one.currency,
            "content": one.notes[0].text if one.notes else "",
            "payload_id": payload_id,
            "related": {number: refs.portal_id for number, refs in invoice.related.items()},
        }
        plan = [("create", FoundState.SUBMITTED)]
        if self.settings.steps > 1:
            first = "update" if is_draft else "create"
            plan = [(first, FoundState.DRAFT), ("details", FoundState.DRAFT), ("submit", FoundState.SUBMITTED)]
        return tuple(
            Step(
                name,
                json.dumps(told | {"step": name, "leaves": leaves}, sort_keys=True).encode(),
                stamp.payload_id,
                self.settings.repeat,
                "application/json",
                leaves=leaves,
            )
            for name, leaves in plan
        )

    def submit(self, step: Step, done: Mapping[str, Receipt]) -> Receipt:  # noqa: ARG002
        with self.portal.lock:
            act = self.portal.acts.popleft() if self.portal.acts else ok
        if getattr(act, "before_the_wire", False):
            return act(self.portal, json.loads(step.bytes))
        self.context.point_of_no_return()
        self.portal.sent.append(step.bytes)
        return act(self.portal, json.loads(step.bytes))

    def find(self, key: InvoiceKey) -> list[Found]:
        self.portal.asked += 1
        if self.portal.finds:
            self.portal.finds.popleft()()
        settled = self.portal.clock() - self.portal.lag
        return [self.portal.shown(d) for d in self.portal.docs if d.number == key.shown_number and d.since <= settled]

    def statuses(self, cursor: str | None, open_refs: Sequence[OpenRef]) -> Iterator[Page]:  # noqa: ARG002
        while self.portal.pages:
            yield self.portal.pages.pop(0)()
