"""Words that wait until the truth is known, and words that contradict what is known."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from delivery_house import (
    INTAKE,
    ON_BOTH,
    STAGE,
    House,
    at,
    event,
    hear,
    invoice,
    open_tasks,
    receive,
    refuse,
    row,
    rows,
    sent,
    stage,
    state,
    story,
    work,
)
from portal_in_memory import START, Portal, raises

from hub.contract.connector import Lookup, Repeat
from hub.contract.errors import Reason, Transient
from hub.contract.status import Concerns, Delivered
from hub.delivery import admit, check, deliver, reconcile, tasks
from hub.delivery.admit import ConflictError
from hub.delivery.tasks import Say, Spoken
from hub.delivery.workspace import Workspace
from hub.store import tables as t


def send(ws: Workspace, submission_id: int) -> None:
    check.check(ws, submission_id)
    deliver.deliver(ws, submission_id)


@ON_BOTH
def test_a_word_that_comes_while_sending_is_listened_to_afterwards(house: House) -> None:
    """The portal is quicker than its own answer: nothing is lost, and nothing is believed before."""
    ws, portal = house.acme()
    submission_id = receive(ws, invoice("A-1"))
    seen = []

    def quick(portal: Portal, told: dict[str, Any]) -> object:
        other = house.open()
        hear(other, event("e1", "paid", at=at(1), payload_id=told["payload_id"]))
        seen.append((state(other, submission_id), stage(other, submission_id)))
        return portal.receipt(portal.take(told))

    portal.acts.append(quick)  # type: ignore[arg-type]
    work(ws, house.clock)
    assert [("sending", None)] == seen
    assert ("accepted", "paid", 1) == (state(ws, submission_id), stage(ws, submission_id), len(portal.sent))
    assert ["accepted, stage paid"] == [told.note for told in rows(ws, t.event)]


def test_a_word_that_comes_when_it_is_to_go_again_stops_that(house: House) -> None:
    """Judged absent, ready once more, and now the portal speaks of it: it is there, and not sent again."""
    ws, portal = house.acme(lookup=Lookup.NONE, repeat=Repeat.SAFE)
    portal.acts.append(raises(lambda: Transient("dead", delivered=Delivered.UNKNOWN), arrives=True))
    submission_id = receive(ws, invoice("A-1"))
    send(ws, submission_id)
    house.clock.forward(minutes=1)
    assert "ready" == reconcile.reconcile(ws, submission_id)
    hear(ws, event("e1", "approved", at=at(1), payload_id=row(ws, submission_id).payload_id))
    work(ws, house.clock)
    assert ("accepted", "approved", 1) == (state(ws, submission_id), stage(ws, submission_id), len(portal.sent))


def test_a_duplicate_heard_when_it_is_to_go_again_is_a_persons(house: House) -> None:
    """After a duplicate nothing is sent again."""
    ws, portal = house.acme(lookup=Lookup.NONE, repeat=Repeat.SAFE)
    portal.acts.append(raises(lambda: Transient("dead", delivered=Delivered.UNKNOWN), arrives=True))
    submission_id = receive(ws, invoice("A-1"))
    send(ws, submission_id)
    house.clock.forward(minutes=1)
    assert "ready" == reconcile.reconcile(ws, submission_id)
    hear(ws, event("e1", "duplicate", at=at(1), concerns=INTAKE, payload_id=row(ws, submission_id).payload_id))
    work(ws, house.clock)
    assert ("needs_human", 1, ["look"]) == (
        state(ws, submission_id),
        len(portal.sent),
        [task.kind for task in open_tasks(ws, submission_id)],
    )


@ON_BOTH
def test_a_person_who_is_asked_is_not_overruled_but_what_was_heard_counts_then(house: House) -> None:
    """Stuck without ever being known as sent: the words wait; --sent brings them, --not-there sets them aside."""
    for number, (say, expected, seen) in enumerate(((Say.SENT, "accepted", "paid"), (Say.NOT_THERE, "ready", None))):
        ws, portal = house.acme(lookup=Lookup.NONE)
        portal.acts.append(raises(lambda: Transient("dead", delivered=Delivered.UNKNOWN), arrives=True))
        submission_id = receive(ws, invoice(f"A-{number}"))
        work(ws, house.clock)
        told = event(f"e{number}", "paid", at=at(1), payload_id=row(ws, submission_id).payload_id)
        hear(ws, told)
        assert ("needs_human", None) == (state(ws, submission_id), stage(ws, submission_id))
        [task] = open_tasks(ws, submission_id)
        tasks.answer(ws, task.id, Spoken(say, "ann"))
        assert (expected, seen) == (state(ws, submission_id), stage(ws, submission_id))
        assert rows(ws, t.event)[-1].applied
        if say is Say.NOT_THERE:
            admit.withdraw(ws, submission_id, by="ann", why="it goes by post")


@ON_BOTH
def test_what_may_be_at_the_portal_is_not_withdrawn_before_somebody_looked(house: House) -> None:
    """Withdrawn here and standing there, it could go a second time; so the question is answered first."""
    ws, portal = house.acme(lookup=Lookup.NONE)
    portal.acts.append(raises(lambda: Transient("dead", delivered=Delivered.UNKNOWN), arrives=True))
    submission_id = receive(ws, invoice("A-1"))
    work(ws, house.clock)
    [task] = open_tasks(ws, submission_id)
    with pytest.raises(tasks.AnswerError, match="say --sent, --not-there or --refused"):
        tasks.answer(ws, task.id, Spoken(Say.WITHDRAW, "ann"))
    with pytest.raises(admit.ConflictError, match="answer its task first"):
        admit.withdraw(ws, submission_id, by="ann", why="it goes by post")
    assert ("needs_human", [task]) == (state(ws, submission_id), open_tasks(ws, submission_id))
    tasks.answer(ws, task.id, Spoken(Say.NOT_THERE, "ann"))
    admit.withdraw(ws, submission_id, by="ann", why="it goes by post")
    assert "withdrawn" == state(ws, submission_id)


def contradicted(house: House, ended: str) -> tuple[Workspace, Portal, int]:
    ws, portal = house.acme()
    if ended == "refused":
        refuse(portal)
    submission_id = receive(ws, invoice("A-1"))
    work(ws, house.clock)
    if ended == "superseded":
        hear(ws, event("e0", "rejected", at=at(0), portal_id="P-1"))
        receive(ws, invoice("A-1", content="corrected", buyer_reference=None))
        work(ws, house.clock)
    if ended == "withdrawn":
        refuse(portal)
        submission_id = receive(ws, invoice("A-2"))
        work(ws, house.clock)
        admit.withdraw(ws, submission_id, by="ann", why="wrong")
    assert ended == state(ws, submission_id)
    return ws, portal, submission_id


@ON_BOTH
@pytest.mark.parametrize("ended", ["refused", "withdrawn", "superseded"])
@pytest.mark.parametrize(("concerns", "word"), [(INTAKE, "accepted"), (STAGE, "paid")])
def test_a_contradiction_asks_a_person_and_blocks_new_revisions(
    house: House, ended: str, concerns: Concerns, word: str
) -> None:
    """Nothing is moved by it; until somebody has said what is true no correction is taken."""
    ws, _, submission_id = contradicted(house, ended)
    known_as = {"payload_id": row(ws, submission_id).payload_id}
    number = rows(ws, t.document)[-1].number
    told = event("e1", word, at=at(60), concerns=concerns, happened_at=at(10_000), **known_as)
    hear(ws, told, told)
    assert (ended, ["decide"]) == (state(ws, submission_id), [task.kind for task in open_tasks(ws)])
    assert ("contradicts what is known; a person is asked") == rows(ws, t.event)[-1].note
    with pytest.raises(ConflictError, match="must be answered first"):
        receive(ws, invoice(number, content="another"))
    tasks.answer(ws, open_tasks(ws)[0].id, Spoken(Say.DONE, "ann", words="the portal was wrong"))
    receive(ws, invoice(number, content="another"))


@pytest.mark.parametrize("ended", ["refused", "superseded"])
def test_an_old_word_of_an_old_revision_contradicts_nothing(house: House, ended: str) -> None:
    """It happened before the end that we know, or says what was known all along."""
    ws, _, submission_id = contradicted(house, ended)
    known_as = {"payload_id": row(ws, submission_id).payload_id}
    hear(ws, event("e1", "in_review", at=at(60), happened_at=START - dt.timedelta(days=1), **known_as))
    if ended == "superseded":
        hear(ws, event("e2", "rejected", at=at(61), **known_as))
    assert ([], {"moved nothing"}) == (open_tasks(ws), {told.note for told in rows(ws, t.event)[-1:]})


def test_a_person_settles_a_contradiction(house: House) -> None:
    """Refused here, accepted there: a person who saw it there makes it sent, and the buyer's words count again."""
    ws, _, submission_id = contradicted(house, "refused")
    hear(ws, event("e1", "accepted", at=at(60), concerns=INTAKE, payload_id=row(ws, submission_id).payload_id))
    tasks.answer(ws, open_tasks(ws)[0].id, Spoken(Say.SENT, "ann", "P-5"))
    assert ("sent", "P-5") == (state(ws, submission_id), row(ws, submission_id).portal_id)
    hear(ws, event("e2", "paid", at=at(61), portal_id="P-5"))
    assert ("accepted", "paid") == (state(ws, submission_id), stage(ws, submission_id))


def test_a_late_refusal_refuses_what_was_accepted(house: House) -> None:
    """The portal took it in and then threw it out; its words are kept."""
    ws, _, submission_id = sent(house)
    hear(ws, event("e1", "accepted", at=at(1), concerns=INTAKE, portal_id="P-1"))
    why = (Reason("the order is closed", portal_code="E-9"),)
    hear(ws, event("e2", "refused", at=at(2), concerns=INTAKE, portal_id="P-1", reasons=why))
    one = row(ws, submission_id)
    assert ("refused", "the order is closed", "E-9") == (one.state, one.reason_text, one.reason_portal_code)
    assert ["draft", "ready", "sending", "sent", "accepted", "refused"] == story(ws, submission_id)
