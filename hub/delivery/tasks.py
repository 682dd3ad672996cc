"""What only a person can do or say: tasks, and what follows from their answers."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from hub.contract.errors import NeedsHuman, Reason, Scope
from hub.contract.status import Submission
from hub.delivery import evidence, ledger
from hub.delivery.lifecycle import Happening, IllegalMoveError
from hub.delivery.related import WAITS
from hub.delivery.verdict import stops
from hub.delivery.workspace import Workspace
from hub.store import tables as t


class TaskKind(StrEnum):
    """What a person is asked for."""

    KEY_IN = "key_in"  # key this invoice into its portal and say what the portal answered
    LOOK = "look"  # look whether the portal has it
    DECIDE = "decide"  # what we know and what the portal says do not agree
    DO = "do"  # something at the portal: a captcha, new terms


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


def open_task(  # noqa: PLR0913 - a task is these facts
    tx: Connection,
    kind: TaskKind,
    *,
    at: dt.datetime,
    title: str,
    action: str,
    submission: Row[Any] | None = None,
    connection: str | None = None,
    account: str | None = None,
    scope: Scope = Scope.INVOICE,
    step: str = "",
    url: str | None = None,
    expires_at: dt.datetime | None = None,
) -> int:
    """Ask a person; the task's id. While the same thing is already asked, that task stands and no second is made."""
    submission_id = submission.id if submission is not None else None
    about = submission_id or (account if scope is Scope.ACCOUNT else connection)
    subject = f"{scope}:{about}:{kind}:{step}"
    standing: int | None = tx.execute(
        sa.select(t.task.c.id).where(t.task.c.subject == subject, t.task.c.answered_at.is_(None))
    ).scalar_one_or_none()
    if standing is not None:
        return standing
    task_id: int = tx.execute(
        t.task.insert()
        .values(
            kind=kind,
            scope=scope,
            submission_id=submission_id,
            step=step,
            connection=connection or (submission.connection if submission is not None else None),
            account=account or (submission.account if submission is not None else None),
            subject=subject,
            title=title,
            action=action,
            url=url,
            expires_at=expires_at,
            created_at=at,
        )
        .returning(t.task.c.id)
    ).scalar_one()
    return task_id


def open_for_human(
    tx: Connection,
    error: NeedsHuman,
    *,
    at: dt.datetime,
    connection: str,
    account: str | None,
    submission: Row[Any] | None,
    step: str = "",
    keyed_in: bool = False,
) -> int:
    """The task that a connector asked for."""
    kind = TaskKind.KEY_IN if keyed_in else TaskKind.DO
    return open_task(
        tx,
        kind,
        at=at,
        title=str(error),
        action=error.action,
        submission=submission if error.scope is Scope.INVOICE else None,
        connection=connection,
        account=account,
        scope=error.scope,
        step=step,
        url=error.url,
        expires_at=error.expires_at,
    )


def stop_for(
    tx: Connection,
    error: Exception,
    *,
    at: dt.datetime,
    portal: str,
    account: str | None,
    words: str,
    task: bool = True,
) -> None:
    """Pause what an error stops beyond its own invoice, and ask the person whom a NeedsHuman names."""
    scope = stops(error)
    if scope is None:
        return
    if scope is Scope.ACCOUNT and account is not None:
        ledger.pause(tx, t.account, account, at=at, actor=ledger.HUB, why=words)
    else:
        ledger.pause(tx, t.connection, portal, at=at, actor=ledger.HUB, why=words)
    if task and isinstance(error, NeedsHuman):
        open_for_human(tx, error, at=at, connection=portal, account=account, submission=None)


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
    words = ws.archive.scrub.text(spoken.words)
    sheet = f"{spoken.say}\nreference: {spoken.reference or ''}\nby: {spoken.by}\n{words}\n".encode()
    sha256 = ws.archive.put(sheet)
    with ws.db.writing() as tx:
        row = tx.execute(
            sa.select(t.task).where(t.task.c.id == task_id, t.task.c.answered_at.is_(None)).with_for_update()
        ).one_or_none()
        if row is None:
            raise LookupError(f"no task {task_id} waits for an answer; `hub tasks` lists those that do")
        _fits(row, spoken)
        tx.execute(
            t.task.update()
            .where(t.task.c.id == task_id)
            .values(
                answered_at=at, answered_by=spoken.by, answer=f"{spoken.say} {spoken.reference or ''} {words}".strip()
            )
        )
        evidence.chain(tx, "answer", sha256, at=at, submission_id=row.submission_id)
        if row.submission_id is not None:
            _follow(tx, row, spoken, at=at, words=words)
        elif row.scope in {Scope.CONNECTION, Scope.ACCOUNT}:
            table = t.connection if row.scope == Scope.CONNECTION else t.account
            key = row.connection if row.scope == Scope.CONNECTION else row.account
            ledger.resume(tx, table, key, at=at, actor=f"person:{spoken.by}", why=words or "the task was answered")
    return row


def _fits(task: Row[Any], spoken: Spoken) -> None:
    if not spoken.by.strip():
        raise AnswerError("who answers? name yourself with --by")
    if task.submission_id is None and spoken.say is not Say.DONE:
        raise AnswerError(f"task {task.id} is about {task.connection}, not about one invoice; answer it with --done")
    if spoken.say is Say.REFUSED and not spoken.words.strip():
        raise AnswerError("why did the portal refuse it? give its words with --words")
    if task.kind == TaskKind.KEY_IN and spoken.say is Say.SENT and not (spoken.reference or "").strip():
        raise AnswerError("which confirmation did the portal give? enter it with --reference")


def _follow(tx: Connection, task: Row[Any], spoken: Spoken, *, at: dt.datetime, words: str) -> None:
    """What a person's answer does to the invoice it was asked about."""
    submission = ledger.lock(tx, task.submission_id)
    waits = submission.state == Submission.NEEDS_HUMAN
    fact: dict[str, Any] = {
        "at": at,
        "actor": f"person:{spoken.by}",
        "why": f"a person said: {spoken.say}" + (f" ({words})" if words else ""),
        "evidence": f"task:{task.id}",
    }
    say = Say.NOT_THERE if spoken.say is Say.DONE and waits and task.kind == TaskKind.DO else spoken.say
    if say is Say.DONE and waits:
        raise AnswerError("the invoice waits for this answer; say --sent, --not-there, --refused or --withdraw")
    if say is Say.DONE:
        ledger.note(tx, "task", submission_id=submission.id, **fact)
        return
    values: dict[str, Any] = {}
    if spoken.reference:
        values["portal_id"] = spoken.reference.strip()
    if say is Say.SENT:
        values["sent_at"] = submission.sent_at or at
    if say is Say.NOT_THERE:
        values |= {"tries": 0, "resends": 0, "duplicate_at": None, "due_at": at}
        if submission.first_attempt_at is None and task.kind == TaskKind.DECIDE:
            values |= {"waived": json.dumps([WAITS]), "requirements_version": None}
    try:
        if say is Say.SENT and submission.state == Submission.REFUSED:
            ledger.move(tx, submission.id, Happening.STUCK, **fact)
        reason = Reason(words) if say is Say.REFUSED else None
        ledger.move(tx, submission.id, _HAPPENINGS[say], reason=reason, **fact, **values)
        if say is Say.SENT and task.kind == TaskKind.KEY_IN:
            ledger.move(tx, submission.id, Happening.ACCEPTED, **fact | {"why": "the portal gave its confirmation"})
    except IllegalMoveError:
        raise AnswerError(
            f"the invoice is {submission.state} by now, so {say} says nothing of it; answer with --done"
        ) from None
