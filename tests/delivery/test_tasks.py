"""What people answer, to which question, about an invoice in which state; and what follows."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import product
from typing import Any

import pytest
from delivery_house import (
    INTAKE,
    ON_BOTH,
    House,
    event,
    hear,
    invoice,
    open_tasks,
    receive,
    row,
    rows,
    state,
    work,
)
from portal_in_memory import ok, raises

from hub.contract.connector import Lookup
from hub.contract.errors import Duplicate, NeedsHuman, Reason, Scope, Transient
from hub.contract.status import Delivered, Submission
from hub.delivery import asking, ledger, tasks
from hub.delivery.asking import TaskKind
from hub.delivery.lifecycle import Happening
from hub.delivery.tasks import AnswerError, Say, Spoken
from hub.delivery.workspace import Workspace
from hub.store import tables as t

# What each answer does in each state that a question can be open in, in words: None means that it does not fit.
FOLLOWS: dict[tuple[str, str], str | None] = {
    **{(before, "sent"): "sent" for before in ("held", "ready", "in_doubt", "needs_human", "refused", "draft")},
    **{(before, "not-there"): "ready" for before in ("needs_human",)},
    **{(before, "refused"): "refused" for before in ("in_doubt", "needs_human", "sent", "accepted", "sending")},
    **{(before, "withdraw"): "withdrawn" for before in ("draft", "held", "ready", "needs_human", "refused")},
    ("sending", "sent"): "sent",
}
PATHS = {  # how a submission comes into a state
    "draft": [],
    "held": ["held"],
    "ready": ["cleared"],
    "sending": ["cleared", "claimed"],
    "in_doubt": ["cleared", "claimed", "doubted"],
    "needs_human": ["cleared", "claimed", "stuck"],
    "sent": ["cleared", "claimed", "delivered"],
    "accepted": ["cleared", "claimed", "delivered", "accepted"],
    "refused": ["cleared", "claimed", "refused"],
    "superseded": ["superseded"],
    "withdrawn": ["withdrawn"],
}


@pytest.fixture
def ws(sqlite: House) -> Workspace:
    return sqlite.acme()[0]


def asked(ws: Workspace, before: str, kind: TaskKind, number: str) -> tuple[int, int]:
    """An invoice in a state, and a question about it."""
    submission_id = receive(ws, invoice(number))
    with ws.db.writing("test") as tx:
        for happening in PATHS[before]:
            ledger.move(tx, submission_id, Happening(happening), at=ws.now(), why="a test")
        task = asking.open_task(
            tx, kind, at=ws.now(), title="?", action="look", submission=ledger.lock(tx, submission_id)
        )
    assert before == state(ws, submission_id)
    return submission_id, task


def everything(ws: Workspace) -> list[Any]:
    return [rows(ws, table) for table in (t.submission, t.task, t.transition, t.evidence, t.step)]


@pytest.mark.parametrize("before", Submission)
def test_every_answer_to_every_question_in_every_state(ws: Workspace, before: Submission) -> None:
    """What fits leads where it says; what does not fit is refused and changes nothing at all."""
    for number, (kind, say) in enumerate(product(TaskKind, Say)):
        submission_id, task = asked(ws, before, kind, f"A-{number}")
        unchanged = everything(ws)
        spoken = Spoken(say, "ann", "C-1", "because")
        go_on = before is Submission.NEEDS_HUMAN and kind is TaskKind.DO  # it is done, so it goes on
        told = "not-there" if say is Say.DONE and go_on else str(say)
        if told == "done":
            fits, expected = before is not Submission.NEEDS_HUMAN, str(before)
        else:
            fits, expected = (before, told) in FOLLOWS, FOLLOWS.get((before, told)) or ""
        if not fits:
            with pytest.raises(AnswerError):
                tasks.answer(ws, task, spoken)
            assert unchanged == everything(ws), (kind, say)
            continue
        tasks.answer(ws, task, spoken)
        if told == "sent" and kind is TaskKind.KEY_IN:
            expected = "accepted"  # the portal gave its confirmation
        assert expected == state(ws, submission_id), (kind, say)
        [answered] = rows(ws, t.task, t.task.c.id == task)
        assert ("ann", f"{say} C-1 because") == (answered.answered_by, answered.answer)
        assert [] == [open_ for open_ in open_tasks(ws, submission_id) if open_.id == task]
        last = rows(ws, t.transition, t.transition.c.submission_id == submission_id)[-1]
        assert ("person:ann", f"task:{task}") == (last.actor, last.evidence)
        assert submission_id == rows(ws, t.evidence)[-1].submission_id


@pytest.mark.parametrize(
    ("kind", "spoken", "told"),
    [
        (TaskKind.LOOK, Spoken(Say.SENT, "  "), "name yourself with --by"),
        (TaskKind.LOOK, Spoken(Say.REFUSED, "ann", words="  "), "give its words with --words"),
        (TaskKind.KEY_IN, Spoken(Say.SENT, "ann", "  "), "enter it with --reference"),
        (TaskKind.LOOK, Spoken(Say.DONE, "ann"), "the invoice waits for this answer"),
    ],
)
def test_an_answer_that_says_too_little_changes_nothing(
    ws: Workspace, kind: TaskKind, spoken: Spoken, told: str
) -> None:
    """It says what is missing."""
    _, task = asked(ws, "needs_human", kind, "A-1")
    unchanged = everything(ws)
    with pytest.raises(AnswerError, match=told):
        tasks.answer(ws, task, spoken)
    assert unchanged == everything(ws)


@ON_BOTH
def test_a_question_is_answered_once(house: House) -> None:
    """Of two who answer at the same moment one is heard, and the other is told that nothing waits."""
    ws, _ = house.acme()
    submission_id, task = asked(ws, "needs_human", TaskKind.LOOK, "A-1")
    other = house.open()

    def answer(one: Workspace, say: Say) -> str:
        try:
            tasks.answer(one, task, Spoken(say, "ann", "P-1"))
        except LookupError as error:
            return str(error)
        return str(say)

    with ThreadPoolExecutor(2) as pool:
        told = list(pool.map(answer, (ws, other), (Say.SENT, Say.WITHDRAW)))
    assert 1 == sum("waits for an answer" in one for one in told)
    assert {"sent": "sent", "withdraw": "withdrawn"}[min(told, key=len)] == state(ws, submission_id)
    with pytest.raises(LookupError):
        tasks.answer(ws, 999, Spoken(Say.DONE, "ann"))


@ON_BOTH
def test_the_same_thing_is_asked_once(house: House) -> None:
    """Per invoice, kind and step, and per account or connection; another kind or step is another question."""
    ws, _ = house.acme()
    submission_id, first = asked(ws, "needs_human", TaskKind.LOOK, "A-1")

    def ask(kind: TaskKind, step: str = "") -> int:
        with ws.db.writing("test") as tx:
            submission = ledger.lock(tx, submission_id)
            return asking.open_task(tx, kind, at=ws.now(), title="?", action="?", submission=submission, step=step)

    assert first == ask(TaskKind.LOOK)
    assert 4 == len({first, ask(TaskKind.DO), ask(TaskKind.LOOK, "submit"), ask(TaskKind.DECIDE)})
    error = NeedsHuman("terms", action="sign", scope=Scope.ACCOUNT)

    def stop(_: int) -> None:
        with ws.db.writing("test") as tx:
            asking.stop_for(tx, error, at=ws.now(), scrub=ws.archive.scrub, connection="acme", account="acme")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(stop, range(8)))
    assert 1 == len([task for task in open_tasks(ws) if task.scope == "account"])


def test_a_question_about_a_connection_is_answered_with_done_alone(ws: Workspace) -> None:
    """There is no invoice that could be sent or not there."""
    error = NeedsHuman("terms", action="sign", scope=Scope.CONNECTION)
    with ws.db.writing("test") as tx:
        asking.stop_for(tx, error, at=ws.now(), scrub=ws.archive.scrub, connection="acme", account="acme")
    [task] = open_tasks(ws)
    for say in set(Say) - {Say.DONE}:
        with pytest.raises(AnswerError, match="answer it with --done"):
            tasks.answer(ws, task.id, Spoken(say, "ann", "x", "y"))
    assert ledger.is_paused(ws.db, t.connection, "acme")
    tasks.answer(ws, task.id, Spoken(Say.DONE, "ann"))
    assert not ledger.is_paused(ws.db, t.connection, "acme")


def test_an_answer_closes_what_else_was_asked_of_the_same_doubt(ws: Workspace) -> None:
    """But not what was asked about something else: a contradiction stays asked."""
    submission_id, look = asked(ws, "needs_human", TaskKind.LOOK, "A-1")
    with ws.db.writing("test") as tx:
        submission = ledger.lock(tx, submission_id)
        for kind in (TaskKind.DO, TaskKind.KEY_IN, TaskKind.DECIDE):
            asking.open_task(tx, kind, at=ws.now(), title="?", action="?", submission=submission)
    tasks.answer(ws, look, Spoken(Say.SENT, "ann", "P-1"))
    assert ["decide"] == [task.kind for task in open_tasks(ws, submission_id)]


def test_what_a_person_keys_in_is_accepted_with_its_confirmation(house: House) -> None:
    """A portal for people: each submit is a question with the sheet, and its answer brings the portal's number."""
    ws, portal = house.acme(lookup=Lookup.NONE, people=True)
    submission_id = receive(ws, invoice("A-1"))
    sheet = NeedsHuman("Key this in", action="number A-1", url="https://portal.example")

    def ask(*_: object) -> object:
        raise sheet

    portal.acts.extend([ask, ask])  # type: ignore[list-item]
    work(ws, house.clock)
    [task] = open_tasks(ws, submission_id)
    assert ("key_in", "create", "number A-1", "https://portal.example") == (
        task.kind,
        task.step,
        task.action,
        task.url,
    )
    tasks.answer(ws, task.id, Spoken(Say.NOT_THERE, "ann", words="the site was down"))
    work(ws, house.clock)
    [again] = open_tasks(ws, submission_id)
    assert task.id != again.id
    tasks.answer(ws, again.id, Spoken(Say.SENT, "ann", " C-77 "))
    assert ("accepted", "C-77") == (state(ws, submission_id), row(ws, submission_id).portal_id)
    assert [] == portal.docs


def test_an_answer_that_sends_it_again_starts_afresh(ws: Workspace) -> None:
    """Tries, resends and the duplicate are counted anew: the person has looked."""
    submission_id, task = asked(ws, "needs_human", TaskKind.LOOK, "A-1")
    with ws.db.writing("test") as tx:
        counts = {"tries": 9, "resends": 3, "looks": 2, "duplicate_at": ws.now(), "sent_at": ws.now()}
        tx.execute(t.submission.update().values(**counts))
    tasks.answer(ws, task, Spoken(Say.NOT_THERE, "ann"))
    one = row(ws, submission_id)
    assert (0, 0, 0, None, None, ws.now()) == (
        one.tries,
        one.resends,
        one.looks,
        one.duplicate_at,
        one.sent_at,
        one.due_at,
    )


@ON_BOTH
def test_what_the_portal_said_before_a_person_found_it_absent_counts_no_more(house: House) -> None:
    """It took one and refused it, a person found nothing: a duplicate then is a question, no sign that it is there."""
    ws, portal = house.acme(lookup=Lookup.NONE, repeat="refuses")
    lost = raises(lambda: Transient("the line went dead", delivered=Delivered.UNKNOWN))
    known = raises(lambda: Duplicate("we know it", reasons=(Reason("we know it"),)))
    portal.acts.extend([lost, ok, known])
    submission_id = receive(ws, invoice("A-1"))
    work(ws, house.clock)
    assert "sent" == state(ws, submission_id)
    hear(ws, event("e-1", "refused", at=house.clock(), concerns=INTAKE, payload_id=row(ws, submission_id).payload_id))
    work(ws, house.clock)
    [task] = open_tasks(ws, submission_id)
    tasks.answer(ws, task.id, Spoken(Say.NOT_THERE, "ann"))
    work(ws, house.clock)
    assert "needs_human" == state(ws, submission_id)
