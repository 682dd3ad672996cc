"""The road out: what is durable when, who may send, what waits, and what comes too late."""

from __future__ import annotations

import datetime as dt
import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from delivery_house import (
    ON_BOTH,
    House,
    credit,
    event,
    invoice,
    now_due,
    open_tasks,
    receive,
    row,
    rows,
    state,
    work,
)
from portal_in_memory import Act, Death, Portal, raises

from hub.contract.connector import Lookup, Page, Receipt, Repeat
from hub.contract.errors import AuthFailed, NeedsHuman, Scope, Transient
from hub.contract.status import Concerns, Delivered
from hub.delivery import check, collect, deliver, ledger, reconcile, tasks
from hub.delivery.deliver import LEASE
from hub.delivery.tasks import Say, Spoken
from hub.delivery.workspace import Workspace
from hub.store import tables as t


def first(act: Callable[[], object], then: Act | None = None) -> Act:
    """Do something when the portal has the bytes, and then as usual."""

    def acts(portal: Portal, told: dict[str, object]) -> Receipt:
        act()
        return (then or (lambda p, t: p.receipt(p.take(t))))(portal, told)

    return acts


def another(house: House) -> Workspace:
    """Another worker takes over everything whose lease ran out."""
    house.clock.now += LEASE + dt.timedelta(seconds=1)
    ws = house.open()
    reconcile.recover(ws, alone=False)
    return ws


@ON_BOTH
def test_an_attempt_is_durable_before_anything_is_sent(house: House) -> None:
    """Who dies in the middle of a submit leaves an attempt without an end, and it counts as one that may be there."""
    ws, portal = house.acme(lookup=Lookup.NONE)
    seen = []
    portal.acts.append(first(lambda: seen.extend(rows(house.open(), t.attempt)), raises(Death)))
    submission_id = receive(ws, invoice("A-1"))
    with pytest.raises(Death):
        work(ws, house.clock)
    assert [(1, None, None)] == [(one.number, one.delivered, one.finished_at) for one in seen]
    ws = another(house)
    assert "in_doubt" == state(ws, submission_id)
    work(ws, house.clock)
    assert "needs_human" == state(ws, submission_id)
    assert portal.sent[0] == ws.blobs.read(rows(ws, t.step)[0].body_sha256)
    assert 1 == rows(ws, t.evidence, t.evidence.c.kind == "sent")[0].attempt_id
    with ws.db.reading() as tx:
        assert [1] == list(tx.scalars(t.connection.select().with_only_columns(t.connection.c.mark)))


@ON_BOTH
def test_a_resend_sends_the_very_same_bytes(house: House) -> None:
    """Though rules and time have moved on, each attempt carries what was stored when it became ready."""
    ws, portal = house.acme(repeat=Repeat.SAFE)
    portal.acts.extend([raises(lambda: Transient("dead", delivered=Delivered.UNKNOWN))] * 2)
    submission_id = receive(ws, invoice("A-1"))
    work(ws, house.clock)
    assert "sent" == state(ws, submission_id)
    assert 3 == len(portal.sent)
    assert 1 == len(set(portal.sent))
    assert 1 == len({one.body_sha256 for one in rows(ws, t.attempt)})
    assert [1, 2, 3] == [one.number for one in rows(ws, t.attempt)]


@pytest.mark.parametrize("damage", ["gone", "damaged"])
def test_a_stored_document_that_cannot_be_read_is_a_persons(sqlite: House, damage: str) -> None:
    """Nothing else goes in its place; once it is restored it goes."""
    ws, portal = sqlite.acme()
    submission_id = receive(ws, invoice("A-1"))
    check.check(ws, submission_id)
    path = ws.blobs.path(rows(ws, t.step)[0].body_sha256)
    good = path.read_bytes()
    path.unlink() if damage == "gone" else path.write_bytes(good + b" ")
    assert "needs_human" == deliver.deliver(ws, submission_id)
    [task] = open_tasks(ws, submission_id)
    assert str(path) in task.action
    assert ([], []) == (portal.sent, rows(ws, t.attempt))
    path.write_bytes(good)
    tasks.answer(ws, task.id, Spoken(Say.DONE, "ann"))
    work(ws, sqlite.clock)
    assert ("sent", [good]) == (state(ws, submission_id), portal.sent)


def test_a_stop_is_heard_right_before_the_wire(sqlite: House) -> None:
    """When the hub is told to stop, what has not left yet does not leave."""
    ws, portal = sqlite.acme(lookup=Lookup.NONE)
    submission_id = receive(ws, invoice("A-1"))
    check.check(ws, submission_id)
    ws.cancel.set()
    assert "ready" == deliver.deliver(ws, submission_id)
    assert [] == portal.sent
    assert "no" == rows(ws, t.attempt)[0].delivered


def pause(table: str) -> Callable[[Workspace], None]:
    def do(ws: Workspace) -> None:
        with ws.db.writing("test") as tx:
            ledger.pause(tx, t.metadata.tables[table], "acme", at=ws.now(), actor="person:ann", why="holidays")

    return do


@ON_BOTH
@pytest.mark.parametrize("table", ["connection", "account"])
def test_what_is_paused_is_not_claimed_and_resumes(house: House, table: str) -> None:
    """Neither offered nor to be had while paused; the first reason stands, and it goes once resumed."""
    ws, portal = house.acme()
    submission_id = receive(ws, invoice("A-1"))
    check.check(ws, submission_id)
    pause(table)(ws)
    pause(table)(ws)
    assert ([], None) == (deliver.due(ws, "acme"), deliver.deliver(ws, submission_id))
    assert ledger.is_paused(ws.db, t.metadata.tables[table], "acme")
    with ws.db.writing("test") as tx:
        resumed = [
            ledger.resume(tx, t.metadata.tables[table], "acme", at=ws.now(), actor="person:ann", why="back")
            for _ in range(2)
        ]
    assert [True, False] == resumed
    work(ws, house.clock)
    assert ("sent", 1) == (state(ws, submission_id), len(portal.docs))
    told = [(x.before, x.after, x.why) for x in rows(ws, t.transition, t.transition.c.subject == f"{table}:acme")]
    assert [("running", "paused", "holidays"), ("paused", "running", "back")] == told


def test_a_pause_in_hub_yaml_ends_when_hub_yaml_says_so(sqlite: House) -> None:
    """Its own pause is lifted by the next start without it; a pause for another reason is not."""
    ws, _ = sqlite.acme()
    text = (sqlite.folder / "hub.yaml").read_text()
    paused = json.loads(text)
    paused["accounts"]["acme"]["paused"] = True
    (sqlite.folder / "hub.yaml").write_text(json.dumps(paused))
    assert ledger.is_paused(sqlite.open().db, t.account, "acme")
    pause("connection")(ws)
    (sqlite.folder / "hub.yaml").write_text(text)
    ws = sqlite.open()
    assert (False, True) == tuple(ledger.is_paused(ws.db, table, "acme") for table in (t.account, t.connection))


@ON_BOTH
@pytest.mark.parametrize(
    ("error", "paused"),
    [
        (AuthFailed("no such user"), "connection"),
        (AuthFailed("no such buyer", scope=Scope.ACCOUNT), "account"),
        (NeedsHuman("new terms", action="sign them", scope=Scope.CONNECTION), "connection"),
        (NeedsHuman("new terms", action="sign them", scope=Scope.ACCOUNT), "account"),
    ],
    ids=str,
)
def test_an_error_stops_as_much_as_it_says(house: House, error: Exception, paused: str) -> None:
    """Whether a submit or the lookup before it meets it; a NeedsHuman asks once, and its answer goes on with it."""
    ws, portal = house.acme()
    one = receive(ws, invoice("A-1"))
    portal.finds.append(lambda: (_ for _ in ()).throw(error))
    work(ws, house.clock)
    two = receive(ws, invoice("A-2"))
    work(ws, house.clock)
    assert ("ready", "ready", []) == (state(ws, one), state(ws, two), portal.sent)
    is_paused = [name for name in ("connection", "account") if ledger.is_paused(ws.db, t.metadata.tables[name], "acme")]
    assert [paused] == is_paused
    if isinstance(error, NeedsHuman):
        [task] = open_tasks(ws)
        assert ("do", paused, None) == (task.kind, task.scope, task.submission_id)
        tasks.answer(ws, task.id, Spoken(Say.DONE, "ann", words="signed"))
    else:
        assert [] == open_tasks(ws)
        with ws.db.writing("test") as tx:
            ledger.resume(tx, t.metadata.tables[paused], "acme", at=ws.now(), actor="person:ann", why="mended")
    work(ws, house.clock)
    assert ("sent", "sent", 2) == (state(ws, one), state(ws, two), len(portal.docs))


@ON_BOTH
def test_two_workers_that_meet_the_same_wall_ask_once(house: House) -> None:
    """The same question of a connection is one task, however many workers come to it at once."""
    ws, portal = house.acme(lookup=Lookup.NONE)
    gate = threading.Barrier(3)
    error = NeedsHuman("a captcha", action="solve it", scope=Scope.CONNECTION)
    portal.acts.extend([first(gate.wait, raises(lambda: error))] * 3)
    ids = [receive(ws, invoice(f"A-{number}")) for number in range(3)]
    for submission_id in ids:
        check.check(ws, submission_id)
    with ThreadPoolExecutor(3) as pool:
        assert ["ready"] * 3 == list(pool.map(lambda i: deliver.deliver(ws, i), ids))
    assert 1 == len(open_tasks(ws))


def test_before_the_first_attempt_the_portal_is_asked(sqlite: House) -> None:
    """What somebody keyed in is adopted; another document of the number is a person's, and his word counts."""
    ws, portal = sqlite.acme()
    told = {"step": "create", "leaves": "submitted", "payload_id": "hand", "customer": "C-acme", "currency": "EUR"}
    portal.take(told | {"number": "A-1", "total": "121.00", "content": ""})
    portal.take(told | {"number": "A-2", "total": "99.00", "content": "", "payload_id": "hand2"})
    adopted, unclear = receive(ws, invoice("A-1")), receive(ws, invoice("A-2"))
    work(ws, sqlite.clock)
    assert ("sent", "P-1") == (state(ws, adopted), row(ws, adopted).portal_id)
    assert ([], []) == (rows(ws, t.attempt), portal.sent)
    evidence = rows(ws, t.transition, t.transition.c.submission_id == adopted)[-1].evidence
    assert evidence.startswith("lookup:")
    [task] = open_tasks(ws, unclear)
    assert "99.00 EUR" in task.title
    tasks.answer(ws, task.id, Spoken(Say.NOT_THERE, "ann", words="that one is another year's"))
    work(ws, sqlite.clock)
    assert ("sent", 1) == (state(ws, unclear), len(portal.sent))


def test_a_lookup_that_fails_before_the_first_attempt_sends_nothing(sqlite: House) -> None:
    """Whatever it says of delivery, nothing was sent; it is asked again, and a person where only one can help."""
    ws, portal = sqlite.acme()
    submission_id = receive(ws, invoice("A-1"))
    for error in (Transient("dead", delivered=Delivered.UNKNOWN), ValueError("odd")):
        portal.finds.append(lambda error=error: (_ for _ in ()).throw(error))
        now_due(ws)
        assert ("ready", [], None) == (state(ws, submission_id), portal.sent, row(ws, submission_id).first_attempt_at)
        sqlite.clock.now = row(ws, submission_id).due_at
    portal.finds.append(lambda: (_ for _ in ()).throw(NeedsHuman("a captcha", action="solve it")))
    now_due(ws)
    [task] = open_tasks(ws, submission_id)
    assert ("needs_human", "solve it") == (state(ws, submission_id), task.action)
    tasks.answer(ws, task.id, Spoken(Say.DONE, "ann"))
    work(ws, sqlite.clock)
    assert ("sent", 1) == (state(ws, submission_id), len(portal.sent))


def test_a_credit_goes_after_its_invoice(house: House) -> None:
    """It waits while the invoice is held, goes once that is sent, and tells the portal which invoice it credits."""
    ws, portal = house.acme(repeat=Repeat.SAFE)
    original = receive(ws, invoice("A-1", buyer_reference=None))
    first_credit = receive(ws, credit("C-1", "a-1 "))
    work(ws, house.clock)
    assert ("held", "held", []) == (state(ws, original), state(ws, first_credit), portal.sent)
    corrected = receive(ws, invoice("A-1"))
    work(ws, house.clock)
    assert ("sent", "sent") == (state(ws, corrected), state(ws, first_credit))
    assert ["A-1", "C-1"] == [doc.number for doc in portal.docs]
    assert {"a-1": "P-1"} == json.loads(portal.sent[1])["related"]


@ON_BOTH
def test_a_credit_that_is_ready_is_checked_once_more_at_the_claim(house: House) -> None:
    """Its invoice was refused meanwhile: it is not claimed, and a person decides."""
    ws, portal = house.acme(lookup=Lookup.NONE)
    original = receive(ws, invoice("A-1"))
    work(ws, house.clock)
    credited = receive(ws, credit("C-1", "A-1"))
    check.check(ws, credited)
    assert ("ready", [credited]) == (state(ws, credited), deliver.due(ws, "acme"))
    refusal = event("e1", "refused", at=house.clock(), concerns=Concerns.INTAKE, portal_id="P-1")
    collect.store(ws, "acme", Page((refusal,), None))
    assert "refused" == state(ws, original)
    assert ([], None) == (deliver.due(ws, "acme"), deliver.deliver(ws, credited))
    work(ws, house.clock)
    [task] = open_tasks(ws, credited)
    assert ("needs_human", "decide", 1) == (state(ws, credited), task.kind, len(portal.sent))
    tasks.answer(ws, task.id, Spoken(Say.NOT_THERE, "ann", words="it credits what was paid by card"))
    work(ws, house.clock)
    assert ("sent", 2) == (state(ws, credited), len(portal.sent))


def test_a_credit_of_two_invoices_waits_for_both(sqlite: House) -> None:
    """Whichever of them is held, and in whatever order they are named."""
    ws, portal = sqlite.acme()
    receive(ws, invoice("A-1", buyer_reference=None))
    receive(ws, invoice("A-2"))
    ids = [receive(ws, credit("C-1", "A-1", "A-2")), receive(ws, credit("C-2", "A-2", "A-1"))]
    work(ws, sqlite.clock)
    assert ["held", "held"] == [state(ws, one) for one in ids]
    receive(ws, invoice("A-1"))
    work(ws, sqlite.clock)
    assert ["sent", "sent"] == [state(ws, one) for one in ids]
    assert {"A-1", "A-2"} == {doc.number for doc in portal.docs[:2]}


def test_a_credit_that_something_else_holds_is_not_checked_for_ever(sqlite: House) -> None:
    """Its invoice is sent and a rule holds it: nothing has changed, so nothing is due."""
    ws, _ = sqlite.acme()
    receive(ws, invoice("A-1"))
    held = receive(ws, credit("C-1", "A-1", buyer_reference=None))
    waits = receive(ws, credit("C-2", "A-2"))
    work(ws, sqlite.clock)
    assert ("held", "sent", []) == (state(ws, held), state(ws, waits), check.due(ws))


def test_the_most_urgent_goes_first(sqlite: House) -> None:
    """What must be sent by a day goes before what has no such day."""
    ws, _ = sqlite.acme()
    ids = [receive(ws, invoice(f"A-{number}")) for number in range(3)]
    for submission_id in ids:
        check.check(ws, submission_id)
    with ws.db.writing("test") as tx:
        for submission_id, day in ((ids[1], 9), (ids[2], 2)):
            send_by = dt.date(2031, 4, day)
            tx.execute(t.submission.update().where(t.submission.c.id == submission_id).values(send_by=send_by))
    assert [ids[2], ids[1], ids[0]] == deliver.due(ws, "acme")
    assert [ids[2]] == deliver.due(ws, "acme", limit=1)
