"""The road back: which word is about which invoice, what it moves, and what it never does."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import permutations
from typing import Any

import pytest
from delivery_house import (
    INTAKE,
    ON_BOTH,
    House,
    at,
    event,
    hear,
    invoice,
    open_tasks,
    receive,
    row,
    rows,
    sent,
    stage,
    state,
    work,
)

from hub.contract.connector import Lookup, Page
from hub.contract.errors import AuthFailed, NeedsHuman, Reason, Scope, Transient
from hub.contract.status import Concerns, Delivered, Stage
from hub.delivery import collect, ledger, tasks
from hub.delivery.awaited import open_refs
from hub.delivery.tasks import Say, Spoken
from hub.delivery.workspace import Workspace
from hub.store import tables as t
from hub.store.database import StoreError


def cursor(ws: Workspace) -> str | None:
    with ws.db.reading() as tx:
        found: str | None = tx.execute(t.connection.select().with_only_columns(t.connection.c.cursor)).scalar_one()
        return found


@ON_BOTH
def test_a_stage_accepts_what_was_sent_and_every_step_is_told(house: House) -> None:
    """Both machines move, each with a transition that names the event behind it."""
    ws, _, submission_id = sent(house)
    told = event("e1", "approved", at=at(5), happened_at=at(3), portal_id="P-1", raw="Genehmigt")
    assert 1 == hear(ws, told)
    one = row(ws, submission_id)
    assert ("accepted", "approved", at(3), "Genehmigt") == (one.state, one.stage, one.stage_since, one.last_raw)
    ours, buyers = rows(ws, t.transition)[-2:]
    assert ("submission", "sent", "accepted", "event:1") == (ours.subject, ours.before, ours.after, ours.evidence)
    assert ("stage", None, "approved", "event:1") == (buyers.subject, buyers.before, buyers.after, buyers.evidence)
    assert "portal:acme" == ours.actor == buyers.actor
    assert b"<e1/>" == ws.blobs.read(rows(ws, t.event)[0].document_sha256)
    assert ["source", "sent", "reply", "status"] == [one.kind for one in rows(ws, t.evidence)]


@ON_BOTH
def test_a_repeat_is_stored_once_and_moves_nothing(house: House) -> None:
    """However often and in whatever page the same event comes, also from two polls at the same time."""
    ws, _, submission_id = sent(house)
    told = event("e1", "approved", at=at(5), portal_id="P-1")
    assert [1, 0] == [hear(ws, told, told), hear(ws, told)]
    other = [event(f"e{number}", "in_review", at=at(6), portal_id="P-1") for number in range(2, 12)]
    workers = [house.open() for _ in range(2)]
    with ThreadPoolExecutor(2) as pool:
        assert 10 == sum(pool.map(lambda one: hear(one, *other), workers))
    assert (11, "in_review") == (len(rows(ws, t.event)), stage(ws, submission_id))
    assert 2 == len(rows(ws, t.transition, t.transition.c.subject == "stage"))


LIFE = [("received", 1), ("in_review", 2), ("approved", 3), ("scheduled", 4)]


def test_any_order_ends_in_the_newest_stage(sqlite: House) -> None:
    """An older event whose time is known never overwrites a newer one, however late it comes."""
    ws, _ = sqlite.acme(lookup=Lookup.NONE)
    orders = {receive(ws, invoice(f"B-{number}")): order for number, order in enumerate(permutations(LIFE))}
    work(ws, sqlite.clock)
    for submission_id, order in orders.items():
        known_as = {"payload_id": row(ws, submission_id).payload_id}
        for word, minute in order:
            hear(ws, event(f"{submission_id}-{word}", word, at=at(99), happened_at=at(minute), **known_as))
        assert ("accepted", "scheduled") == (state(ws, submission_id), stage(ws, submission_id)), order


def test_a_known_time_outlives_events_without_one(sqlite: House) -> None:
    """Approved at 5, paid at some time, and then an in_review of 3 that comes late: it stays paid."""
    ws, _, submission_id = sent(sqlite)
    for number, (word, minute) in enumerate([("approved", 5), ("paid", None), ("in_review", 3), ("paid", 9)]):
        happened = None if minute is None else at(minute)
        hear(ws, event(f"e{number}", word, at=at(20 + number), happened_at=happened, portal_id="P-1"))
        assert ("paid" if number else "approved") == stage(ws, submission_id)
    assert at(9) == row(ws, submission_id).stage_happened_at
    hear(ws, event("late", "scheduled", at=at(40), happened_at=at(7), portal_id="P-1"))
    assert "paid" == stage(ws, submission_id)


def test_a_repeated_stage_brings_its_new_reason(sqlite: House) -> None:
    """On hold for one thing, and then on hold for another: the newest reason is shown, and nothing has moved."""
    ws, _, submission_id = sent(sqlite)
    for number, why in enumerate(("no receipt", "no approval")):
        hear(ws, event(f"e{number}", "on_hold", at=at(number), portal_id="P-1", reasons=(Reason(why),)))
        assert ("on_hold", why) == (stage(ws, submission_id), row(ws, submission_id).stage_reason_text)
    hear(ws, event("e2", "on_hold", at=at(9), portal_id="P-1"))
    assert "no approval" == row(ws, submission_id).stage_reason_text
    assert 1 == len(rows(ws, t.transition, t.transition.c.subject == "stage"))


@pytest.mark.parametrize("concerns", Concerns)
def test_an_unknown_word_is_kept_raw_and_moves_nothing(house: House, concerns: Concerns) -> None:
    """It is stored, bound, shown as the last word, and counts as no answer to whether the portal takes it."""
    ws, _, submission_id = sent(house, acknowledged=10)
    hear(ws, event("e1", "wibbled", at=at(1), concerns=concerns, portal_id="P-1", raw="Wibbled in Kraków"))
    hear(ws, event("e2", "unknown", at=at(2), concerns=concerns, portal_id="P-1", raw="???"))
    one = row(ws, submission_id)
    assert ("sent", None, "???", None) == (one.state, one.stage, one.last_raw, one.intake_at)
    assert [("Wibbled in Kraków", "moved nothing"), ("???", "moved nothing")] == [
        (told.raw, told.note) for told in rows(ws, t.event)
    ]
    house.clock.forward(minutes=11)
    assert [submission_id] == collect.overdue(ws)


def test_pending_moves_nothing_but_is_an_answer(house: House) -> None:
    """The portal has said something of taking it in, so nobody is asked whether it ever will."""
    ws, _, submission_id = sent(house, acknowledged=10)
    hear(ws, event("e1", "pending", at=at(1), concerns=INTAKE, portal_id="P-1"))
    house.clock.forward(minutes=11)
    assert ([], "sent") == (collect.overdue(ws), state(ws, submission_id))


def test_paid_can_be_reversed_and_a_rejection_after_it_is_a_persons(house: House) -> None:
    """The buyer's machine follows the buyer; what is ours to ask about is asked."""
    ws, _, submission_id = sent(house)
    for number, word in enumerate(("paid", "approved", "paid", "rejected")):
        hear(ws, event(f"e{number}", word, at=at(number), happened_at=at(number), portal_id="P-1"))
        assert ("accepted", word) == (state(ws, submission_id), stage(ws, submission_id))
        assert (["decide"] if word == "rejected" else []) == [task.kind for task in open_tasks(ws)]


@ON_BOTH
def test_events_and_cursor_are_one_transaction(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever dies between them has neither, and the next poll brings both."""
    ws, portal, submission_id = sent(house)
    page = Page((event("e1", "approved", at=at(1), portal_id="P-1"),), "c-1")
    with monkeypatch.context() as patch:
        patch.setattr(collect, "_prove", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        portal.pages = [lambda: page]
        with pytest.raises(KeyboardInterrupt):
            collect.collect(ws, "acme")
    assert ([], None, "sent") == (rows(ws, t.event), cursor(ws), state(ws, submission_id))
    portal.pages = [lambda: page]
    assert 1 == collect.collect(ws, "acme")
    assert ("c-1", "approved") == (cursor(ws), stage(ws, submission_id))


def connection(ws: Workspace) -> Any:
    with ws.db.reading() as tx:
        return tx.execute(t.connection.select()).one()


def throw(error: Exception) -> Callable[[], Page]:
    def page() -> Page:
        raise error

    return page


@ON_BOTH
def test_a_failed_poll_moves_nothing_and_is_written_down(house: House) -> None:
    """What came before it counts; since when nothing was heard is told truly; the next good poll clears it."""
    ws, portal, submission_id = sent(house)
    good = Page((event("e1", "approved", at=at(1), portal_id="P-1"),), "c-1")
    assert 0 == collect.collect(ws, "acme")
    heard_at = connection(ws).heard_at
    house.clock.forward(minutes=5)
    portal.pages = [lambda: good, throw(Transient("the portal is down", delivered=Delivered.NO))]
    assert 1 == collect.collect(ws, "acme")
    now = connection(ws)
    assert (house.clock(), heard_at, "the portal is down") == (now.polled_at, now.heard_at, now.poll_error)
    assert ("approved", "c-1") == (stage(ws, submission_id), now.cursor)
    failed = rows(ws, t.transition, t.transition.c.subject == "connection:acme")[-1]
    assert "status poll failed: the portal is down" == failed.why
    house.clock.forward(minutes=5)
    collect.collect(ws, "acme")
    assert (house.clock(), None) == (connection(ws).heard_at, connection(ws).poll_error)


def test_a_poll_that_a_stop_cut_off_says_nothing_of_the_portal(sqlite: House) -> None:
    """No failure is written down; a database that cannot be had is no failure of the portal either."""
    ws, portal, _ = sent(sqlite)
    ws.cancel.set()
    portal.pages = [throw(Transient("the hub is stopping", delivered=Delivered.NO))]
    assert 0 == collect.collect(ws, "acme")
    assert None is connection(ws).poll_error
    ws.cancel.clear()
    portal.pages = [throw(StoreError("the disk is full"))]
    with pytest.raises(StoreError):
        collect.collect(ws, "acme")
    assert None is connection(ws).poll_error


@pytest.mark.parametrize(
    "error",
    [
        AuthFailed("who?"),
        AuthFailed("who?", scope=Scope.ACCOUNT),
        NeedsHuman("terms", action="sign", scope=Scope.CONNECTION),
        NeedsHuman("terms", action="sign", scope=Scope.ACCOUNT),
    ],
    ids=str,
)
def test_a_poll_that_is_turned_away_stops_the_connection(house: House, error: Exception) -> None:
    """A poll knows no account, so all of the connection waits; the answer to what is asked lets it go on."""
    ws, portal, _ = sent(house)
    portal.pages = [throw(error)]
    collect.collect(ws, "acme")
    assert ledger.is_paused(ws.db, t.connection, "acme")
    if isinstance(error, NeedsHuman):
        [task] = open_tasks(ws)
        tasks.answer(ws, task.id, Spoken(Say.DONE, "ann"))
        assert not ledger.is_paused(ws.db, t.connection, "acme")


def test_a_defect_of_the_connector_fails_the_poll_alone(sqlite: House) -> None:
    """It is written down as it is, and stops nothing."""
    ws, portal, _ = sent(sqlite)
    portal.pages = [throw(KeyError("Status"))]
    assert 0 == collect.collect(ws, "acme")
    assert ("'Status'", False) == (connection(ws).poll_error, ledger.is_paused(ws.db, t.connection, "acme"))


@ON_BOTH
def test_nobody_acknowledged_it_in_time(house: House) -> None:
    """A question, not a verdict; the answer that it is there asks again only after as long once more."""
    ws, portal, submission_id = sent(house, acknowledged=10)
    house.clock.forward(minutes=10)
    assert [] == collect.overdue(ws)
    house.clock.forward(minutes=1)
    assert ([submission_id], []) == (collect.overdue(ws), collect.overdue(ws))
    [task] = open_tasks(ws, submission_id)
    assert ("needs_human", "look", "--not-there" in task.action) == (state(ws, submission_id), task.kind, True)
    tasks.answer(ws, task.id, Spoken(Say.SENT, "ann", "P-1"))
    assert ([], "sent") == (collect.overdue(ws), state(ws, submission_id))
    house.clock.forward(minutes=11)
    assert [submission_id] == collect.overdue(ws)
    hear(ws, event("e1", "accepted", at=house.clock(), concerns=INTAKE, portal_id="P-1"))
    assert ("accepted", []) == (state(ws, submission_id), open_tasks(ws))
    assert 1 == len(portal.sent)


def test_what_is_asked_about_ends_some_time_after_the_end(sqlite: House) -> None:
    """Paid ones are listened to for sixty days after that word, however old the submission is."""
    ws, _, submission_id = sent(sqlite)
    hear(ws, event("e1", "approved", at=at(1), portal_id="P-1"))
    asked = []

    def refs(ws: Workspace) -> list[str | None]:
        with ws.db.reading() as tx:
            return [ref.last_raw for _, ref in open_refs(tx, "acme", ws.now())]

    asked.append(refs(ws))
    sqlite.clock.forward(days=300)
    asked.append(refs(ws))
    hear(ws, event("e2", "paid", at=sqlite.clock(), happened_at=sqlite.clock(), portal_id="P-1"))
    sqlite.clock.forward(days=59)
    asked.append(refs(ws))
    sqlite.clock.forward(days=2)
    asked.append(refs(ws))
    assert [["APPROVED"], ["APPROVED"], ["PAID"], []] == asked
    assert Stage.PAID == stage(ws, submission_id)


def test_what_a_person_says_is_an_event_like_any_other(house: House) -> None:
    """Once, by name, and with what was said in the archive."""
    ws, _, submission_id = sent(house)
    told = event("person:1", "paid", at=at(1), number="A-1")
    assert [True, False] == [collect.say(ws, submission_id, told, by="ann") for _ in range(2)]
    assert ("accepted", "paid", "person:ann") == (
        state(ws, submission_id),
        stage(ws, submission_id),
        rows(ws, t.transition)[-1].actor,
    )


@ON_BOTH
def test_text_that_postgresql_cannot_hold_stops_no_poll(house: House) -> None:
    """A portal that sends NUL characters is heard all the same."""
    ws, _, submission_id = sent(house)
    odd = event("e1", "approved", at=at(1), raw="appro\0ved", portal_id="P-1", reasons=(Reason("a\0b"),))
    hear(ws, odd, event("e2", "wib\0bled", at=at(2), number="A\0-1"))
    assert ("approved", "a\N{REPLACEMENT CHARACTER}b") == (
        stage(ws, submission_id),
        row(ws, submission_id).stage_reason_text,
    )
