"""A document in several steps: a draft, its details, a submit. Doubt is settled for the one step that it is about."""

from __future__ import annotations

import pytest
from delivery_house import ON_BOTH, House, event, invoice, open_tasks, receive, row, rows, state, story, work
from portal_in_memory import Act, Death, Portal, ok, raises

from hub.contract.connector import FoundState, Lookup, Page, Repeat
from hub.contract.errors import Reason, Rejected, Transient
from hub.contract.status import Concerns, Delivered
from hub.delivery import collect, reconcile, tasks
from hub.delivery.tasks import Say, Spoken
from hub.delivery.workspace import Workspace
from hub.store import tables as t

DRAFT, SUBMITTED = FoundState.DRAFT, FoundState.SUBMITTED


def lost(*, arrives: bool) -> Act:
    return raises(lambda: Transient("dead", delivered=Delivered.UNKNOWN), arrives=arrives)


def steps_sent(portal: Portal) -> list[str]:
    return [body.decode().partition('"step": "')[2].partition('"')[0] for body in portal.sent]


def send(house: House, acts: list[Act], **settings: object) -> tuple[Workspace, Portal, int]:
    ws, portal = house.acme(steps=3, **{"repeat": Repeat.SAFE} | settings)
    portal.acts.extend(acts)
    submission_id = receive(ws, invoice("A-1"))
    work(ws, house.clock)
    return ws, portal, submission_id


@ON_BOTH
def test_the_steps_go_in_order_and_each_is_an_attempt(house: House) -> None:
    """Three steps, three attempts, one document; the later ones know what the earlier ones got."""
    ws, portal, submission_id = send(house, [])
    assert (["create", "details", "submit"], "sent") == (steps_sent(portal), state(ws, submission_id))
    assert [SUBMITTED] == [doc.state for doc in portal.docs]
    assert [(1, "yes"), (2, "yes"), (3, "yes")] == [(one.number, one.delivered) for one in rows(ws, t.attempt)]
    assert "P-1" == row(ws, submission_id).portal_id


@ON_BOTH
def test_a_draft_that_was_found_is_not_a_delivery(house: House) -> None:
    """The answer to the first step was lost: its draft is found, the other steps go, and only then is it sent."""
    ws, portal, submission_id = send(house, [lost(arrives=True)], repeat=Repeat.UNSAFE)
    assert (["create", "details", "submit"], "sent") == (steps_sent(portal), state(ws, submission_id))
    assert [SUBMITTED] == [doc.state for doc in portal.docs]
    assert "P-1" == row(ws, submission_id).portal_id


@pytest.mark.parametrize("at", [1, 2])
def test_doubt_about_a_later_step_repeats_that_step_alone(house: House, at: int) -> None:
    """The draft that is found proves nothing of it; the draft is made once."""
    ws, portal, submission_id = send(house, [ok] * at + [lost(arrives=False)])
    assert ("sent", 1) == (state(ws, submission_id), len(portal.docs))
    plan = ["create", "details", "submit"]
    assert plan[: at + 1] + plan[at:] == steps_sent(portal)


def test_a_submit_that_arrived_is_found_by_the_documents_state(house: House) -> None:
    """Its answer was lost, the document is submitted: it is not submitted again."""
    ws, portal, submission_id = send(house, [ok, ok, lost(arrives=True)], repeat=Repeat.UNSAFE)
    assert ("sent", 3) == (state(ws, submission_id), len(portal.sent))


def test_a_later_step_that_may_not_be_repeated_is_a_persons(house: House) -> None:
    """Who then says that it is not there sends that step, not the whole."""
    ws, portal, submission_id = send(house, [ok, lost(arrives=False)], repeat=Repeat.UNSAFE)
    [task] = open_tasks(ws, submission_id)
    tasks.answer(ws, task.id, Spoken(Say.NOT_THERE, "ann"))
    work(ws, house.clock)
    assert ("sent", ["create", "details", "details", "submit"]) == (state(ws, submission_id), steps_sent(portal))


def test_a_refusal_of_a_later_step_is_a_refusal(house: House) -> None:
    """The first step's arrival is no second attempt that may be meant."""
    no = raises(lambda: Rejected("no", reasons=(Reason("line 3 is wrong"),)))
    ws, _, submission_id = send(house, [ok, no], lookup=Lookup.NONE)
    assert ("refused", "line 3 is wrong") == (state(ws, submission_id), row(ws, submission_id).reason_text)
    assert "in_doubt" not in story(ws, submission_id)


def test_a_late_refusal_of_a_document_of_many_steps_is_a_refusal(house: House) -> None:
    """Every step arrived once, so only one document can be meant."""
    ws, _, submission_id = send(house, [], lookup=Lookup.NONE)
    told = event("e1", "refused", at=ws.now(), concerns=Concerns.INTAKE, portal_id="P-1")
    collect.store(ws, "acme", Page((told,), None))
    assert "refused" == state(ws, submission_id)


@ON_BOTH
@pytest.mark.parametrize("at", [0, 1, 2])
@pytest.mark.parametrize("arrives", [False, True])
def test_death_in_any_step_leaves_one_document(house: House, at: int, arrives: bool) -> None:  # noqa: FBT001 - a fact
    """The next process goes on where it stopped."""
    ws, portal = house.acme(steps=3, repeat=Repeat.SAFE)
    portal.acts.extend([ok] * at + [raises(Death, arrives=arrives)])
    submission_id = receive(ws, invoice("A-1"))
    with pytest.raises(Death):
        work(ws, house.clock)
    house.clock.forward(minutes=5)
    ws = house.open()
    assert 1 == reconcile.recover(ws, alone=False)
    work(ws, house.clock)
    assert ("sent", [SUBMITTED]) == (state(ws, submission_id), [doc.state for doc in portal.docs])


def test_what_a_person_says_is_not_there_at_all_goes_whole_again(house: House) -> None:
    """It had been sent, and nobody acknowledged it: every step goes once more."""
    ws, portal, submission_id = send(house, [], acknowledged=10)
    house.clock.forward(minutes=11)
    assert [submission_id] == collect.overdue(ws)
    portal.docs.clear()
    [task] = open_tasks(ws, submission_id)
    tasks.answer(ws, task.id, Spoken(Say.NOT_THERE, "ann"))
    assert (None, None) == (row(ws, submission_id).sent_at, row(ws, submission_id).portal_id)
    work(ws, house.clock)
    assert ("sent", 6, [SUBMITTED]) == (
        state(ws, submission_id),
        len(portal.sent),
        [doc.state for doc in portal.docs],
    )


def test_a_late_yes_to_an_earlier_step_counts_for_that_step(house: House) -> None:
    """It came after the lease had run out: the step is done, and the next one goes."""
    ws, portal = house.acme(steps=3, lookup=Lookup.NONE)

    def late(portal: Portal, told: dict[str, object]) -> object:
        house.clock.forward(minutes=5)
        reconcile.recover(house.open(), alone=False)
        return ok(portal, told)

    portal.acts.append(late)  # type: ignore[arg-type]
    submission_id = receive(ws, invoice("A-1"))
    work(ws, house.clock)
    assert (["create", "details", "submit"], "sent") == (steps_sent(portal), state(ws, submission_id))
    assert [True, False, False] == [one.late for one in rows(ws, t.attempt)]
