"""Whom a poll makes heard: those it was surely told about, and nobody else."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa
from delivery_house import ON_BOTH, House, Lane, at, event, invoice, receive, stage, work
from portal_in_memory import PORTALS, Portal, Scripted

from hub.contract.connector import Capabilities, OpenRef, Page
from hub.contract.errors import AuthFailed, PortalChanged, Scope, Transient
from hub.contract.status import Delivered
from hub.delivery import collect, registry
from hub.delivery.awaited import open_refs
from hub.delivery.workspace import Workspace
from hub.store import tables as t

CUSTOMERS = ("ash", "birch", "cedar", "doum", "elm", "fir")


class ByCustomer(Scripted):
    """Is asked about one customer after the other; a test says what comes of each."""

    answers: dict[str, Callable[[], Page]]
    asked: list[str]

    @property
    def capabilities(self) -> Capabilities:
        return replace(super().capabilities, statuses_by_customer=True)

    def statuses(self, cursor: str | None, open_refs: Sequence[OpenRef]) -> Iterator[Page]:  # noqa: ARG002
        [customer] = {ref.key.portal_customer or "" for ref in open_refs}
        self.asked.append(customer)
        if customer in self.answers:
            yield self.answers[customer]()


@pytest.fixture
def by_customer(house: House, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """One connection to several customers, with an invoice at each."""
    known = registry.connector_class
    monkeypatch.setattr(registry, "connector_class", lambda name: ByCustomer if name == "scripted" else known(name))
    ByCustomer.answers, ByCustomer.asked = {}, []
    house.write(*map(Lane, CUSTOMERS))
    path = house.folder / "hub.yaml"
    told = json.loads(path.read_text(encoding="utf-8"))
    told["connections"] = {"one": {"connector": "scripted", "settings": {"portal": "one"}}}
    for account in told["accounts"].values():
        account["connection"] = "one"
    path.write_text(json.dumps(told), encoding="utf-8")
    PORTALS["one"] = Portal(house.clock)
    ws = house.open()
    for customer in CUSTOMERS:
        receive(ws, invoice(f"{customer}-1", customer))
    work(ws, house.clock)
    return ws


def lanes(ws: Workspace, table: sa.Table) -> dict[str, Any]:
    with ws.db.reading() as tx:
        return {row.key: row for row in tx.execute(sa.select(table))}


def heard(ws: Workspace) -> set[str]:
    """The accounts that were heard now."""
    return {key for key, row in lanes(ws, t.account).items() if row.heard_at == ws.now()}


def broken(error: Exception) -> Callable[[], Page]:
    def page() -> Page:
        raise error

    return page


def down() -> Callable[[], Page]:
    return broken(Transient("down", delivered=Delivered.NO))


@ON_BOTH
def test_only_those_whose_turn_it_is_are_asked_about_and_heard(house: House, by_customer: Workspace) -> None:
    """The others stay as old as they were, though the connection was heard."""
    ws = by_customer
    ByCustomer.answers["C-birch"] = lambda: Page((event("e1", "approved", at=at(1), number="birch-1"),), "c-1")
    assert 1 == collect.collect(ws, "one", {"C-birch", "C-elm", "C-gone"})
    assert ({"C-birch", "C-elm"}, {"birch", "elm"}) == (set(ByCustomer.asked), heard(ws))
    assert None is lanes(ws, t.account)["ash"].heard_at
    assert ("c-1", ws.now(), "approved") == (lanes(ws, t.connection)["one"].cursor, ws.now(), stage(ws, 2))
    house.clock.forward(minutes=5)
    collect.collect(ws, "one")
    assert set(CUSTOMERS) == heard(ws)
    assert {"C-birch", "C-elm"} == set(ByCustomer.asked[-2:])


def test_a_customer_that_fails_is_no_fresher_and_stops_no_other(house: House, by_customer: Workspace) -> None:
    """What went wrong is shown until that customer is heard again, whoever else is heard meanwhile."""
    ws = by_customer
    collect.collect(ws, "one")
    before = ws.now()
    house.clock.forward(minutes=5)
    ByCustomer.answers["C-cedar"] = down()
    collect.collect(ws, "one")
    assert set(CUSTOMERS) - {"cedar"} == heard(ws)
    cedar = lanes(ws, t.account)["cedar"]
    assert (ws.now(), before) == (cedar.polled_at, cedar.heard_at)
    house.clock.forward(minutes=5)
    collect.collect(ws, "one", {"C-ash"})
    assert "customer C-cedar: down" == lanes(ws, t.connection)["one"].poll_error
    ByCustomer.answers.clear()
    collect.collect(ws, "one", {"C-cedar"})
    assert None is lanes(ws, t.connection)["one"].poll_error
    assert {"ash", "cedar"} == heard(ws)


def test_a_portal_that_is_down_is_not_asked_about_everybody(house: House, by_customer: Workspace) -> None:
    """Two failures in a row end the round, nobody is heard, and the others wait like those two."""
    ws = by_customer
    ByCustomer.answers = {f"C-{customer}": down() for customer in CUSTOMERS}
    collect.collect(ws, "one")
    assert (2, set()) == (len(ByCustomer.asked), heard(ws))
    assert {ws.now()} == {row.polled_at for row in lanes(ws, t.account).values()}
    # Two that are down for good keep nobody from being heard: who is asked about first is another each time.
    ByCustomer.answers = {"C-ash": down(), "C-birch": down()}
    known = set()
    for _ in range(30):
        house.clock.forward(minutes=5)
        collect.collect(ws, "one")
        known |= heard(ws)
    assert set(CUSTOMERS) - {"ash", "birch"} == known


@pytest.mark.parametrize(
    ("error", "paused"),
    [
        (AuthFailed("no relationship", scope=Scope.ACCOUNT), ({"cedar"}, set())),
        (AuthFailed("who?"), (set(), {"one"})),
        (PortalChanged("another form", delivered=Delivered.NO), (set(), {"one"})),
    ],
    ids=["account", "login", "changed"],
)
def test_an_error_stops_what_it_concerns(
    by_customer: Workspace, error: Exception, paused: tuple[set[str], set[str]]
) -> None:
    """A customer that refuses us stops its account; a login that is refused stops all, and nobody else is asked."""
    ws = by_customer
    ByCustomer.answers["C-cedar"] = broken(error)
    collect.collect(ws, "one")
    stopped = tuple(
        {key for key, row in lanes(ws, table).items() if row.paused_at} for table in (t.account, t.connection)
    )
    assert paused == stopped
    if paused[1]:
        assert "C-cedar" == ByCustomer.asked[-1]


def test_an_account_whose_customer_got_another_id_is_heard_once_both_were_asked(by_customer: Workspace) -> None:
    """One of its invoices went under the old id, the other under the new one."""
    ws = by_customer
    receive(ws, invoice("ash-2", "ash"))
    work(ws, ws.now)  # type: ignore[arg-type]
    with ws.db.writing("test") as tx:
        tx.execute(t.submission.update().where(t.submission.c.id == 1).values(portal_customer="C-old"))
    collect.collect(ws, "one", {"C-ash", "C-elm"})
    assert {"elm"} == heard(ws)
    collect.collect(ws, "one", {"C-ash", "C-old"})
    assert {"elm", "ash"} == heard(ws)


@ON_BOTH
def test_a_whole_poll_that_breaks_off_makes_nobody_fresher(house: House) -> None:
    """Its first page counts, but whether the rest would have said something nobody knows."""
    ws, portal = house.acme()
    submission_id = receive(ws, invoice("A-1"))
    work(ws, house.clock)
    collect.collect(ws, "acme")
    before = ws.now()
    house.clock.forward(minutes=5)
    portal.pages = [lambda: Page((event("e1", "approved", at=at(1), portal_id="P-1"),), "c-1"), down()]
    assert 1 == collect.collect(ws, "acme")
    acme = lanes(ws, t.account)["acme"]
    assert ("approved", ws.now(), before) == (stage(ws, submission_id), acme.polled_at, acme.heard_at)
    assert {"acme"} == (collect.collect(ws, "acme"), heard(ws))[1]


def test_three_thousand_open_invoices_are_one_question_to_the_database(sqlite: House) -> None:
    """However many are open; their keys come along."""
    ws, _ = sqlite.acme()
    for number in range(5):
        receive(ws, invoice(f"A-{number}"))
    work(ws, sqlite.clock)
    asked: list[str] = []
    with ws.db.reading() as tx:
        sa.event.listen(tx, "before_cursor_execute", lambda *told: asked.append(told[2]))
        refs = open_refs(tx, "acme", ws.now())
    assert (1, [("acme", f"A-{number}", "C-acme") for number in range(5)]) == (
        len([words for words in asked if words.startswith("SELECT")]),
        [(account, ref.key.number, ref.key.portal_customer) for account, ref in refs],
    )
