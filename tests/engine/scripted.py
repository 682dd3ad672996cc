"""A portal that does as it is told, and workspaces with it; in this process or in one that a test starts."""

from __future__ import annotations

import datetime as dt
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from fixtures.cast import CASCADIA, OAKHURST, RIDGELINE_US, Company, Document, item
from fixtures.documents import STATE
from fixtures.ubl import ubl
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
    Repeat,
    Stamp,
    Step,
)
from hub.contract.invoice import Kind
from hub.contract.status import Intake
from hub.delivery import registry
from hub.delivery.workspace import Workspace
from hub.store import tables as t

NUMBER = 0  # of the words of a step: `number kind`


@dataclass
class Script:
    """What one portal does, and what it notes. A test changes it while it runs."""

    submit: Callable[[Step], Receipt | None] = lambda _step: None
    find: Callable[[InvoiceKey], list[Found]] = lambda _key: []
    statuses: Callable[[str | None], list[Page]] = lambda _cursor: []
    arrived: list[str] = field(default_factory=list)  # invoice numbers
    asked: list[str] = field(default_factory=list)  # verbs
    threads: set[str] = field(default_factory=set)
    made: int = 0
    closed: int = 0


SCRIPTS: defaultdict[str, Script] = defaultdict(Script)


class ScriptedSettings(contract.Settings):
    """Which script; `seconds` and `book` are for a portal in another process."""

    name: str = "north"
    max_parallel: int = 1
    lookup: Lookup = Lookup.NONE
    statuses: bool = False
    repeat: Repeat = Repeat.UNSAFE
    seconds: float = 0.0  # that a submit takes
    book: Path | None = None  # a file in which every submit leaves a line when it begins, and one when it ends


class Scripted(contract.Connector):
    """Does what its script says."""

    Settings = ScriptedSettings
    version = "1"
    settings: ScriptedSettings

    def __init__(self, settings: ScriptedSettings, context: Context) -> None:
        super().__init__(settings, context)
        self.script = SCRIPTS[settings.name]
        self.script.made += 1

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(
            documents=frozenset((Kind.INVOICE, Kind.CREDIT, Kind.DEBIT)),
            lookup=self.settings.lookup,
            settles_within=dt.timedelta(0),
            intake=Answer.SYNC,
            statuses=self.settings.statuses,
            max_parallel=self.settings.max_parallel,
        )

    def _note(self, verb: str) -> None:
        self.script.asked.append(verb)
        self.script.threads.add(threading.current_thread().name)

    def _book(self, words: str) -> None:
        if self.settings.book is not None:
            with self.settings.book.open("a") as book:
                book.write(words + "\n")

    def check(self) -> Checked:
        return Checked((), ())

    def prepare(self, invoice: MappedInvoice, stamp: Stamp, prior: Prior | None) -> tuple[Step, ...]:  # noqa: ARG002
        words = f"{invoice.invoice.number} {invoice.invoice.kind}".encode()
        return (Step("send", words, stamp.payload_id, self.settings.repeat, "text/plain"),)

    def submit(self, step: Step, done: Mapping[str, Receipt]) -> Receipt:  # noqa: ARG002
        self._note("submit")
        self.context.point_of_no_return()
        number = step.bytes.decode().split()[NUMBER]
        self._book(f"began {number}")
        time.sleep(self.settings.seconds)
        self.script.arrived.append(number)
        receipt = self.script.submit(step)
        self._book(f"ended {number}")
        return receipt or Receipt(Refs(portal_id=f"P-{number}"), Intake.ACCEPTED, b"accepted")

    def find(self, key: InvoiceKey) -> list[Found]:
        self._note("find")
        return self.script.find(key)

    def statuses(self, cursor: str | None, open_refs: Sequence[OpenRef]) -> Iterator[Page]:  # noqa: ARG002
        self._note("statuses")
        return iter(self.script.statuses(cursor))

    def close(self) -> None:
        self.script.closed += 1


def install(patch: pytest.MonkeyPatch | None = None) -> None:
    """Let hub.yaml's connector `scripted` be this one."""
    known = registry.connector_class

    def connector_class(name: str) -> type[contract.Connector]:
        return Scripted if name == "scripted" else known(name)

    if patch is None:
        registry.connector_class = connector_class
    else:
        patch.setattr(registry, "connector_class", connector_class)


_HUB_YAML = """\
entities:
  us: {{name: "Ridgeline Valve & Fitting, Inc.", identifiers: {{tax: 84-5550101}}}}
customers:
  cascadia: {{name: Cascadia Paper Group, identifiers: {{duns: "080555501"}}}}
  oakhurst: {{name: Oakhurst Regional Hospital, identifiers: {{legal: 36-5550177}}}}
connections:
  north: {{connector: scripted, settings: {{name: north{north}}}, submit_every: 0.1s, poll_every: 0.1s}}
  south: {{connector: scripted, settings: {{name: south{south}}}, submit_every: 0.1s, poll_every: 0.1s}}
  people: {{connector: manual, settings: {{portal: The site}}}}
accounts:
  cascadia-us: {{entity: us, customer: cascadia, connection: {cascadia}, portal_customer: C-1}}
  oakhurst-us: {{entity: us, customer: oakhurst, connection: {oakhurst}, portal_customer: C-2}}
sources:
  inbox: {{folder: inbox, every: 0.1s}}
"""
_RULES = """\
rules_for: {portal: scripted}
require:
  - {id: scripted.order, field: purchase_order_reference, required: true, message: no order, fix: name it,
     source: ours, checked_on: 2026-11-01}
"""
_MAPPING = "mapping_for: {portal: scripted}\nmap:\n  number: {from: shown_number}\n"


def make_workspace(
    folder: Path, *, north: str = "", south: str = "", cascadia: str = "north", oakhurst: str = "south"
) -> Path:
    """A workspace with two scripted lanes and a manual one; cascadia goes north and oakhurst south."""
    for name, content in (
        ("hub.yaml", _HUB_YAML.format(north=north, south=south, cascadia=cascadia, oakhurst=oakhurst)),
        ("rules/scripted/default.yaml", _RULES),
        ("mappings/scripted/default.yaml", _MAPPING),
    ):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    (folder / "inbox").mkdir(exist_ok=True)
    return folder


VALVE = item(4, "RV-1012", "Relief valve, 1/2 in, brass", "12.50", "10", STATE)


def invoice(number: str, buyer: Company = CASCADIA, **more: object) -> Document:
    """An invoice of ours."""
    made = Document(number, dt.date(2026, 10, 5), RIDGELINE_US, buyer, (VALVE,), order="4500017001")
    return replace(made, **more)  # type: ignore[arg-type]


def drop(workspace: Path, *documents: Document) -> None:
    """Put documents into the inbox."""
    for one in documents:
        (workspace / "inbox" / f"{one.number}.xml").write_bytes(ubl(one))


def cascadia(*numbers: str) -> list[Document]:
    return [invoice(number) for number in numbers]


def oakhurst(*numbers: str) -> list[Document]:
    return [invoice(number, OAKHURST) for number in numbers]


def credit(number: str, of: Document) -> Document:
    """A credit note for an invoice."""
    return replace(of, number=number, type_code="381", preceding=(of.number, of.issued))


def other_content(one: Document) -> Document:
    """The same number, another quantity."""
    return replace(one, items=(replace(one.items[0], quantity=one.items[0].quantity + Decimal(1)),))


def states(ws: Workspace) -> dict[str, str]:
    """The state of each document's newest submission, by number."""
    query = (
        sa.select(t.document.c.number, t.submission.c.state)
        .join(t.document, t.submission.c.document_id == t.document.c.id)
        .order_by(t.submission.c.id)
    )
    with ws.db.reading() as tx:
        return {row.number: row.state for row in tx.execute(query)}


def rows(ws: Workspace, table: sa.Table) -> list[sa.Row[Any]]:
    """Every row of a table, in the order in which they were made."""
    with ws.db.reading() as tx:
        return list(tx.execute(sa.select(table).order_by(table.c.id)).all())


def until(true: Callable[[], object], what: str, *, seconds: float = 15.0) -> None:
    """Wait until something is true."""
    ends = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < ends, f"not within {seconds} s: {what}"
        time.sleep(0.02)
