"""What a person answers, and what follows from it: the task is closed and the invoice moved in one transaction."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from hub.contract.errors import Reason, Scope
from hub.contract.status import Submission
from hub.delivery import attempts, collect, evidence, ledger
from hub.delivery.asking import TaskKind, ask_to_delete_draft, close_tasks
from hub.delivery.compare import MISSING_TASK
from hub.delivery.lifecycle import Happening, IllegalMoveError
from hub.delivery.related import WAITS
from hub.delivery.workspace import Workspace
from hub.store import tables as t

__all__ = ["AnswerError", "Say", "Spoken", "TaskKind", "answer", "open_tasks"]


class Say(StrEnum):
    """What a person may answer."""

    SENT = "sent"  # the portal has it
    NOT_THERE = "not-there"  # it is not there; it may be sent (again)
    REFUSED = "refused"  # the portal will not take it
    WITHDRAW = "withdraw"  # it shall not be sent
    DONE = "done"  # what was asked for is done; nothing changes by it


@dataclass(frozen=True)
class Spoken:
    """A person's answer to a task."""

    say: Say
    by: str
    reference: str | None = None  # the portal's number of the document
    words: str = ""


class AnswerError(Exception):
    """This answer does not fit this task; nothing was changed."""


def open_tasks(tx: Connection) -> list[Row[Any]]:
    """Every task that waits for an answer, the oldest first, with its invoice's number and customer."""
    query = (
        sa.select(t.task, t.document.c.number, t.document.c.customer, t.document.c.kind.label("document_kind"))
        .outerjoin(t.submission, t.task.c.submission_id == t.submission.c.id)
        .outerjoin(t.document, t.submission.c.document_id == t.document.c.id)
        .where(t.task.c.answered_at.is_(None))
        .order_by(t.task.c.id)
    )
    return list(tx.execute(query).all())


_HAPPENINGS = {
    Say.SENT: Happening.FOUND,
    Say.NOT_THERE: Happening.NOT_THERE,
    Say.REFUSED: Happening.REFUSED,
    Say.WITHDRAW: Happening.WITHDRAWN,
}


def answer(ws: Workspace, task_id: int, spoken: Spoken) -> Row[Any]:
    """Take a person's answer: the task is closed and what follows happens in one transaction; the task as it was.

    Raises AnswerError where the answer does not fit, LookupError where no such task waits.
    """
    at = ws.now()
    scrub = ws.archive.scrub.text
    words, reference = scrub(spoken.words).strip(), scrub(spoken.reference or "").strip()
    spoken = Spoken(spoken.say, spoken.by, reference or None, words)
    sheet = f"{spoken.say}\nreference: {reference}\nby: {spoken.by}\n{words}\n".encode()
    sha256 = ws.archive.put(sheet)
    waits = sa.select(t.task).where(t.task.c.id == task_id, t.task.c.answered_at.is_(None))
    with ws.db.writing("tasks.answer") as tx:
        row = tx.execute(waits).one_or_none()
        if row is not None and row.submission_id is not None:
            ledger.lock(tx, row.submission_id)  # before the task: what a portal says locks in this order too
        row = tx.execute(waits.with_for_update()).one_or_none()
        if row is None:
            raise LookupError(f"no task {task_id} waits for an answer; `hub tasks` lists those that do")
        _fits(row, spoken)
        tx.execute(
            t.task.update()
            .where(t.task.c.id == task_id)
            .values(
                answered_at=at, answered_by=spoken.by, answer=" ".join(filter(None, (spoken.say, reference, words)))
            )
        )
        if row.submission_id is not None:
            _follow(tx, ws, row, spoken, at=at)
        else:
            table = t.connection if row.scope == Scope.CONNECTION else t.account
            key = row.connection if row.scope == Scope.CONNECTION else row.account
            ledger.resume(tx, table, key, at=at, actor=f"person:{spoken.by}", why=words or "the task was answered")
        evidence.chain(tx, "answer", sha256, at=at, submission_id=row.submission_id)
    return row


def _fits(task: Row[Any], spoken: Spoken) -> None:
    if not spoken.by.strip():
        raise AnswerError("who answers? name yourself with --by")
    if task.submission_id is None and spoken.say is not Say.DONE:
        raise AnswerError(f"task {task.id} is about {task.connection}, not about one invoice; answer it with --done")
    if spoken.say is Say.REFUSED and not spoken.words:
        raise AnswerError("why did the portal refuse it? give its words with --words")
    if task.kind == TaskKind.KEY_IN and spoken.say is Say.SENT and not spoken.reference:
        raise AnswerError("which confirmation did the portal give? enter it with --reference")


def _follow(tx: Connection, ws: Workspace, task: Row[Any], spoken: Spoken, *, at: dt.datetime) -> None:
    """What a person's answer does to the invoice it was asked about."""
    submission = ledger.lock(tx, task.submission_id)
    waits = submission.state == Submission.NEEDS_HUMAN
    fact: dict[str, Any] = {
        "at": at,
        "actor": f"person:{spoken.by}",
        "why": f"a person said: {spoken.say}" + (f" ({spoken.words})" if spoken.words else ""),
        "evidence": f"task:{task.id}",
    }
    say = Say.NOT_THERE if spoken.say is Say.DONE and waits and task.kind == TaskKind.DO else spoken.say
    if say is Say.DONE and waits:
        raise AnswerError("the invoice waits for this answer; say --sent, --not-there, --refused or --withdraw")
    if say is Say.DONE:
        ledger.note(tx, "task", submission_id=submission.id, **fact)
        if submission.state == Submission.IN_DOUBT:  # the portal can be asked now
            tx.execute(t.submission.update().where(t.submission.c.id == submission.id).values(due_at=at))
        return
    if say is Say.WITHDRAW and waits and attempts.may_be_there(tx, submission):
        raise AnswerError(
            "it may be at the portal, so withdrawing it here would not take it back there; look, and say --sent, "
            "--not-there or --refused. What is not there can be withdrawn then"
        )
    try:
        _move(tx, task, submission, say, spoken, fact)
    except IllegalMoveError:
        raise AnswerError(
            f"the invoice is {submission.state} by now, so {say} says nothing of it; answer with --done"
        ) from None
    close_tasks(
        tx,
        submission.id,
        (TaskKind.KEY_IN, TaskKind.LOOK, TaskKind.DO),
        at=at,
        by=spoken.by,
        answer=f"{say}, said of task {task.id}",
    )
    if say is Say.SENT:
        collect.replay(tx, ws, submission.id)
    else:
        collect.close_waiting(tx, submission.id, f"a person said {say} since")
    if say is Say.WITHDRAW:
        ask_to_delete_draft(tx, submission, ledger.key_of(tx, submission.id).number, at=at)


def _move(tx: Connection, task: Row[Any], submission: Row[Any], say: Say, spoken: Spoken, fact: dict[str, Any]) -> None:
    """Move the invoice where the answer leads; raises IllegalMoveError where it cannot go."""
    at = fact["at"]
    values: dict[str, Any] = {"portal_id": spoken.reference} if spoken.reference else {}
    if say is Say.SENT:
        values["sent_at"] = submission.sent_at or at
        if submission.state == Submission.REFUSED:
            ledger.move(tx, submission.id, Happening.STUCK, **fact)
    if say is Say.NOT_THERE:
        values |= {"tries": 0, "resends": 0, "looks": 0, "duplicate_at": None, "due_at": at}
        if submission.first_attempt_at is None and task.kind == TaskKind.DECIDE:
            values |= {"waived": json.dumps([WAITS]), "requirements_version": None}
        if not attempts.steps_of(tx, submission.id):
            values["requirements_version"] = None  # it was adopted before it was checked, so there is nothing to send
        if task.step == MISSING_TASK and submission.state == Submission.ACCEPTED:
            ledger.move(tx, submission.id, Happening.STUCK, **fact)
    reason = Reason(spoken.words) if say is Say.REFUSED else None
    ledger.move(tx, submission.id, _HAPPENINGS[say], reason=reason, **fact, **values)
    if say is Say.NOT_THERE:
        attempts.begin_again(tx, submission.id)
    if say is Say.SENT and task.kind == TaskKind.KEY_IN:
        ledger.move(tx, submission.id, Happening.ACCEPTED, **fact | {"why": "the portal gave its confirmation"})
