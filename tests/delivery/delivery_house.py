"""Workspaces that portals in memory serve, invoices for them, and what the ledger says of these."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from portal_in_memory import PORTALS, START, Clock, Portal, raises

from hub.contract.connector import Page, Refs, Repeat, StatusEvent
from hub.contract.errors import Reason, Rejected
from hub.contract.invoice import Invoice
from hub.contract.status import Concerns
from hub.delivery import admit, check, collect, deliver, ledger, reconcile
from hub.delivery.workspace import Workspace, open_workspace
from hub.sources.read import Read
from hub.store import tables as t

INTAKE, STAGE = Concerns.INTAKE, Concerns.STAGE
ON_BOTH = pytest.mark.parametrize("house", ["sqlite", "postgresql_house"], indirect=True)
_RULES = """\
rules_for: {portal: scripted}
require:
  - {id: scripted.note, field: buyer_reference, required: true, message: no reference, fix: name it,
     source: ours, checked_on: 2031-01-01}
"""
_MAPPING = "mapping_for: {portal: scripted}\nmap:\n  customer: {from: account.portal_customer}\n"


@dataclass
class Lane:
    """One connection with its customer and account, all called alike."""

    key: str
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def vat(self) -> str:
        """What the customer is known by."""
        return f"XX{self.key.upper()}"


def write_workspace(folder: Path, lanes: Sequence[Lane], *, database: str = "hub.db", more: str = "") -> None:
    """hub.yaml with one entity, and a customer, an account and a connection for each lane."""
    connections, accounts, customers = {}, {}, {}
    for lane in lanes:
        settings = {"portal": lane.key, **lane.settings}
        connections[lane.key] = {"connector": "scripted", "settings": settings}
        customers[lane.key] = {"name": lane.key, "identifiers": {"vat": lane.vat}}
        account = {"entity": "us", "customer": lane.key, "connection": lane.key, "portal_customer": f"C-{lane.key}"}
        accounts[lane.key] = account
    told = {
        "database": database,
        "entities": {"us": {"name": "Northern Pumps", "identifiers": {"vat": "XXUS"}}},
        "customers": customers,
        "connections": connections,
        "accounts": accounts,
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "hub.yaml").write_text(json.dumps(told, indent=1) + more, encoding="utf-8")
    for name, content in (("rules", _RULES), ("mappings", _MAPPING)):
        path = folder / name / "scripted" / "default.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")


@dataclass
class House:
    """The folder of a workspace, its clock, and everything that was opened."""

    folder: Path
    database: str
    clock: Clock = field(default_factory=Clock)
    opened: list[Workspace] = field(default_factory=list)

    def write(self, *lanes: Lane, more: str = "") -> None:
        """hub.yaml with these lanes."""
        write_workspace(self.folder, lanes, database=self.database, more=more)
        for lane in lanes:
            if lane.key not in PORTALS:
                PORTALS[lane.key] = Portal(self.clock)

    def open(self) -> Workspace:
        """The workspace, as another process would open it."""
        self.opened.append(open_workspace(self.folder, now=self.clock))
        return self.opened[-1]

    def acme(self, **settings: Any) -> tuple[Workspace, Portal]:
        """A workspace with one lane, acme, and its portal."""
        portal = {name: settings.pop(name) for name in ("unique_numbers", "lag") if name in settings}
        self.write(Lane("acme", settings))
        PORTALS["acme"] = Portal(self.clock, Repeat(settings.get("repeat", "unsafe")), **portal)
        return self.open(), PORTALS["acme"]


def invoice(number: str, customer: str = "acme", *, total: str = "121.00", content: str = "", **more: Any) -> Invoice:
    """An invoice of ours to the customer of a lane."""
    amount = Decimal(total)
    told: dict[str, Any] = {
        "number": number,
        "issue_date": dt.date(2031, 3, 1),
        "type_code": "380",
        "currency": "EUR",
        "buyer_reference": "R-1",
        "seller": {"name": "Northern Pumps", "vat_id": "XXUS"},
        "buyer": {"name": customer, "vat_id": Lane(customer).vat},
        "totals": {"lines": amount, "without_tax": amount, "with_tax": amount, "payable": amount},
        "lines": [{"id": "1", "quantity": 1, "net": amount, "price": amount, "name": "Pump"}],
        "notes": [{"text": content}] if content else [],
    }
    return Invoice.model_validate(told | more)


def credit(number: str, *of: str, customer: str = "acme", **more: Any) -> Invoice:
    """A credit note for some invoices."""
    return invoice(number, customer, type_code="381", preceding=[{"number": one} for one in of], **more)


def receive(ws: Workspace, one: Invoice, name: str = "") -> int:
    """The invoice comes in; its submission."""
    content = one.model_dump_json().encode()
    return admit.receive(ws, Read(one, "json", {}, ""), name or f"{one.number}.json", content).submission_id


def now_due(ws: Workspace) -> bool:
    """Everything that is due is done once; whether anything was."""
    worked = False
    for submission_id in check.due(ws):
        check.check(ws, submission_id)
        worked = True
    with ws.db.reading() as tx:
        ready = list(tx.scalars(sa.select(t.submission.c.connection).where(ledger.may_go(ws.now())).distinct()))
    for connection in sorted(ready):
        for submission_id in deliver.due(ws, connection):
            worked |= deliver.deliver(ws, submission_id) is not None
    for submission_id in reconcile.due(ws):
        reconcile.reconcile(ws, submission_id)
        worked = True
    return worked


def work(ws: Workspace, clock: Clock, *, rounds: int = 80) -> None:
    """Work until nothing is left to do but for people, however much time that takes."""
    s = t.submission.c
    for _ in range(rounds):
        if now_due(ws):
            continue
        with ws.db.reading() as tx:
            later = sa.select(sa.func.min(s.due_at)).where(s.state.in_(("ready", "in_doubt")), s.due_at > clock())
            due_at = [tx.execute(later).scalar_one()]
            for place, key in ((t.connection, s.connection), (t.account, s.account)):
                held = sa.select(place.c.retry_at).join(t.submission, key == place.c.key).where(s.state == "ready")
                due_at += tx.execute(held.where(place.c.retry_at > clock())).scalars()
        times = [at for at in due_at if at is not None]
        if not times:
            return
        clock.now = min(times) + dt.timedelta(seconds=30)
    raise AssertionError(f"still at work after {rounds} rounds")


def row(ws: Workspace, submission_id: int) -> sa.Row[Any]:
    """A submission."""
    with ws.db.reading() as tx:
        return tx.execute(sa.select(t.submission).where(t.submission.c.id == submission_id)).one()


def state(ws: Workspace, submission_id: int) -> str:
    """A submission's state."""
    return str(row(ws, submission_id).state)


def rows(ws: Workspace, table: sa.Table, *where: sa.ColumnElement[bool]) -> list[sa.Row[Any]]:
    """Rows of a table, in the order in which they were made."""
    with ws.db.reading() as tx:
        return list(tx.execute(sa.select(table).where(*where).order_by(table.c.id)).all())


def open_tasks(ws: Workspace, submission_id: int | None = None) -> list[sa.Row[Any]]:
    """The tasks that wait for an answer, of one submission or of all."""
    mine = [t.task.c.submission_id == submission_id] if submission_id is not None else []
    return rows(ws, t.task, t.task.c.answered_at.is_(None), *mine)


def story(ws: Workspace, submission_id: int) -> list[str]:
    """The states that a submission came through."""
    x = t.transition.c
    return [one.after for one in rows(ws, t.transition, x.submission_id == submission_id, x.subject == "submission")]


def event(
    event_id: str,
    word: str,
    *,
    at: dt.datetime,
    concerns: Concerns = Concerns.STAGE,
    happened_at: dt.datetime | None = None,
    reasons: tuple[Reason, ...] = (),
    raw: str = "",
    **refs: str,
) -> StatusEvent:
    """Something that a portal says."""
    return StatusEvent(
        event_id, Refs(**refs), concerns, word, raw or word.upper(), at, happened_at, reasons, f"<{event_id}/>".encode()
    )


def at(minutes: float) -> dt.datetime:
    return START + dt.timedelta(minutes=minutes)


def sent(house: House, *, number: str = "A-1", **settings: Any) -> tuple[Workspace, Portal, int]:
    ws, portal = house.acme(**settings)
    submission_id = receive(ws, invoice(number))
    work(ws, house.clock)
    assert "sent" == state(ws, submission_id)
    return ws, portal, submission_id


def hear(ws: Workspace, *events: StatusEvent, cursor: str | None = None) -> int:
    return collect.store(ws, "acme", Page(events, cursor))


def stage(ws: Workspace, submission_id: int) -> str | None:
    found: str | None = row(ws, submission_id).stage
    return found


def refuse(portal: Portal) -> None:
    portal.acts.append(raises(lambda: Rejected("no", reasons=(Reason("no"),))))
