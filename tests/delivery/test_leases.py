"""Who may send: claims, leases, fences, and answers that come too late."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from delivery_house import (
    ON_BOTH,
    House,
    invoice,
    now_due,
    open_tasks,
    receive,
    row,
    rows,
    state,
    story,
    work,
)
from portal_in_memory import Act, Death, Portal, raises

from hub.contract.connector import Lookup, Receipt, Repeat
from hub.delivery import admit, check, deliver, reconcile, tasks
from hub.delivery.deliver import LEASE
from hub.delivery.tasks import Say, Spoken
from hub.delivery.workspace import Workspace
from hub.store import tables as t
from hub.store.database import StoreError


def first(act: Callable[[], object], then: Act | None = None) -> Act:
    """Do something when the portal has the bytes, and then as usual."""

    def acts(portal: Portal, told: dict[str, object]) -> Receipt:
        act()
        return (then or (lambda p, t: p.receipt(p.take(t))))(portal, told)

    return acts


def before_the_wire(act: Act) -> Act:
    """The connector gets no further than to what comes before the wire."""
    act.before_the_wire = True  # type: ignore[attr-defined]
    return act


def another(house: House) -> Workspace:
    """Another worker takes over everything whose lease ran out."""
    house.clock.now += LEASE + dt.timedelta(seconds=1)
    ws = house.open()
    reconcile.recover(ws, alone=False)
    return ws


@ON_BOTH
def test_the_second_of_two_workers_gets_nothing(house: House) -> None:
    """Of many who claim the same row at the same time, one gets it and the portal gets one document."""
    ws, portal = house.acme(lookup=Lookup.NONE)
    ids = [receive(ws, invoice(f"A-{number}")) for number in range(3)]
    for submission_id in ids:
        check.check(ws, submission_id)
    workers = [house.open() for _ in range(4)]
    with ThreadPoolExecutor(8) as pool:
        futures = [pool.submit(deliver.deliver, one, i) for i in ids for one in workers for _ in range(2)]
        states = [future.result() for future in futures]
    assert ["sent"] * 3 == [one for one in states if one is not None]
    assert ["A-0", "A-1", "A-2"] == sorted(doc.number for doc in portal.docs)


@ON_BOTH
def test_a_worker_whose_lease_ran_out_sends_nothing(house: House) -> None:
    """Right before the wire it finds that it may no more, and what it wanted to send did certainly not arrive."""
    ws, portal = house.acme(lookup=Lookup.NONE)
    submission_id = receive(ws, invoice("A-1"))

    def slow(portal: Portal, told: dict[str, object]) -> Receipt:
        another(house)
        ws.portal("acme").for_call.__self__._local.connector.context.point_of_no_return()
        return portal.receipt(portal.take(told))

    portal.acts.append(before_the_wire(slow))
    now_due(ws)
    assert ([], []) == (portal.docs, portal.sent)
    [attempt] = rows(ws, t.attempt)
    assert ("no", True) == (attempt.delivered, attempt.late)
    work(ws, house.clock)
    assert ("sent", 1) == (state(ws, submission_id), len(portal.docs))


@ON_BOTH
def test_a_late_yes_settles_the_doubt(house: House) -> None:
    """Its writer is shut out by the fence, yet what the portal answered is evidence and not asked again."""
    ws, portal = house.acme(lookup=Lookup.NONE, repeat=Repeat.SAFE)
    portal.acts.append(first(lambda: another(house)))
    submission_id = receive(ws, invoice("A-1"))
    now_due(ws)
    work(ws, house.clock)
    assert ("sent", 1, "P-1") == (state(ws, submission_id), len(portal.sent), row(ws, submission_id).portal_id)
    [attempt] = rows(ws, t.attempt)
    assert (True, "yes") == (attempt.late, attempt.delivered)
    assert "in_doubt" in story(ws, submission_id)


@ON_BOTH
def test_a_late_yes_stops_a_second_send(house: House) -> None:
    """It comes when the doubt has been judged already: what was ready to go again is sent, and goes no more."""
    ws, portal = house.acme(lookup=Lookup.NONE, repeat=Repeat.SAFE)
    submission_id = receive(ws, invoice("A-1"))

    def judged() -> None:
        other = another(house)
        house.clock.forward(hours=1)
        reconcile.reconcile(other, submission_id)
        assert "ready" == state(other, submission_id)

    portal.acts.append(first(judged))
    now_due(ws)
    assert "sent" == state(ws, submission_id)
    house.clock.forward(hours=9)
    work(ws, house.clock)
    assert (1, "sent") == (len(portal.sent), state(ws, submission_id))


def test_a_late_yes_answers_what_a_person_was_asked(house: House) -> None:
    """The question is closed, and nobody sends it again by hand."""
    ws, portal = house.acme(lookup=Lookup.NONE)
    submission_id = receive(ws, invoice("A-1"))
    asked = []

    def stuck() -> None:
        other = another(house)
        house.clock.forward(hours=1)
        reconcile.reconcile(other, submission_id)
        asked.extend(open_tasks(other, submission_id))

    portal.acts.append(first(stuck))
    now_due(ws)
    assert 1 == len(asked)
    assert ("sent", []) == (state(ws, submission_id), open_tasks(ws))


def test_a_late_yes_to_what_was_taken_back_is_a_persons(house: House) -> None:
    """The ledger says withdrawn, the portal says yes: somebody must look, and no correction is taken until then."""
    ws, portal = house.acme(lookup=Lookup.NONE)
    submission_id = receive(ws, invoice("A-1"))

    def withdrawn() -> None:
        other = another(house)
        house.clock.forward(hours=1)
        reconcile.reconcile(other, submission_id)
        tasks.answer(other, open_tasks(other)[0].id, Spoken(Say.NOT_THERE, "ann"))
        admit.withdraw(other, submission_id, by="ann", why="it goes by post")

    portal.acts.append(first(withdrawn))
    now_due(ws)
    assert "withdrawn" == state(ws, submission_id)
    assert ["decide"] == [task.kind for task in open_tasks(ws, submission_id)]


def test_a_second_late_yes_at_a_portal_that_takes_two_is_a_persons(house: House) -> None:
    """Two attempts were both taken where a repeat is unsafe: it may stand there twice, and somebody is told."""
    ws, portal = house.acme(lookup=Lookup.NONE)
    submission_id = receive(ws, invoice("A-1"))

    def sent_again() -> None:
        other = another(house)
        house.clock.forward(hours=1)
        reconcile.reconcile(other, submission_id)
        tasks.answer(other, open_tasks(other)[0].id, Spoken(Say.NOT_THERE, "ann"))
        now_due(other)
        assert "sent" == state(other, submission_id)

    portal.acts.append(first(sent_again))
    now_due(ws)
    assert 2 == len(portal.docs)
    assert ["decide"] == [task.kind for task in open_tasks(ws, submission_id)]


def test_the_lease_is_renewed_by_every_attempt(sqlite: House) -> None:
    """Three steps that take most of a lease each are one worker's all the same."""
    ws, portal = sqlite.acme(steps=3)
    slow = first(lambda: sqlite.clock.forward(seconds=LEASE.total_seconds() * 0.8))
    portal.acts.extend([slow, slow, slow])
    submission_id = receive(ws, invoice("A-1"))
    now_due(ws)
    assert ("sent", 3) == (state(ws, submission_id), len(portal.sent))


def test_nothing_stays_in_sending_when_its_worker_breaks_off(sqlite: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """A defect between claim and attempt gives it back; one after the attempt began leaves it in doubt."""
    ws, portal = sqlite.acme(repeat=Repeat.SAFE)
    one, two = receive(ws, invoice("A-1")), receive(ws, invoice("A-2"))
    check.check(ws, one)
    check.check(ws, two)
    with monkeypatch.context() as patch:
        patch.setattr(ws, "portal", lambda _key: (_ for _ in ()).throw(LookupError("hub.yaml has no connection acme")))
        assert "ready" == deliver.deliver(ws, one)
        assert row(ws, one).due_at > sqlite.clock()
    with monkeypatch.context() as patch:
        patch.setattr(portal, "receipt", lambda _doc: "not a receipt")
        assert "in_doubt" == deliver.deliver(ws, two)
    work(ws, sqlite.clock)
    assert ("sent", "sent", 2) == (state(ws, one), state(ws, two), len(portal.live()))


@ON_BOTH
def test_a_row_that_this_process_left_in_sending_is_recovered_when_its_lease_ran_out(house: House) -> None:
    """The disk was full when the answer was to be written: the process lives on, and so does the doubt."""
    ws, portal = house.acme()
    submission_id = receive(ws, invoice("A-1"))
    check.check(ws, submission_id)

    def disk_full() -> None:
        def writing(_what: str) -> object:
            raise StoreError("the disk is full")

        ws.db.writing = writing  # type: ignore[method-assign, assignment]

    portal.acts.append(first(disk_full))
    with pytest.raises(StoreError):
        deliver.deliver(ws, submission_id)
    del ws.db.writing
    assert (0, "sending") == (reconcile.recover(ws, alone=False), state(ws, submission_id))
    house.clock.now += LEASE + dt.timedelta(seconds=1)
    assert (1, "in_doubt") == (reconcile.recover(ws, alone=False), state(ws, submission_id))
    work(ws, house.clock)
    assert ("sent", 1) == (state(ws, submission_id), len(portal.docs))


def test_a_worker_that_is_alone_recovers_the_dead_ones_rows_at_once_and_not_its_own(sqlite: House) -> None:
    """A start finds what a dead process left, without waiting for its lease; nobody robs himself."""
    ws, portal = sqlite.acme()
    portal.acts.append(raises(Death))
    submission_id = receive(ws, invoice("A-1"))
    with pytest.raises(Death):
        work(ws, sqlite.clock)
    assert (0, "sending") == (reconcile.recover(ws, alone=True), state(ws, submission_id))
    new = sqlite.open()
    assert (0, "sending") == (reconcile.recover(new, alone=False), state(new, submission_id))
    assert (1, "in_doubt") == (reconcile.recover(new, alone=True), state(new, submission_id))
