"""Asking a person: one open task for one question, and what stands still until it is answered."""

from __future__ import annotations

import datetime as dt
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from hub.contract.errors import NeedsHuman, Scope
from hub.delivery import ledger
from hub.delivery.evidence import Scrubber
from hub.delivery.verdict import stops
from hub.store import tables as t
from hub.store.database import insert_new


class TaskKind(StrEnum):
    """What a person is asked for."""

    KEY_IN = "key_in"  # key this invoice into its portal and say what the portal answered
    LOOK = "look"  # look whether the portal has it
    DECIDE = "decide"  # what we know and what the portal says do not agree
    DO = "do"  # something at the portal: a captcha, new terms


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
    standing = sa.select(t.task.c.id).where(t.task.c.subject == subject, t.task.c.answered_at.is_(None))
    while (task_id := tx.execute(standing).scalar_one_or_none()) is None:
        made = insert_new(
            tx,
            t.task,
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
        if made is not None:
            return made
    return int(task_id)


def open_for_human(  # noqa: PLR0913 - a task is these facts
    tx: Connection,
    error: NeedsHuman,
    *,
    at: dt.datetime,
    scrub: Scrubber,
    connection: str,
    account: str | None,
    submission: Row[Any] | None,
    step: str = "",
    keyed_in: bool = False,
) -> int:
    """The task that a connector asked for; `keyed_in`: the person does what the step would have done."""
    return open_task(
        tx,
        TaskKind.KEY_IN if keyed_in and error.scope is Scope.INVOICE else TaskKind.DO,
        at=at,
        title=scrub.text(str(error)),
        action=scrub.text(error.action),
        submission=submission if error.scope is Scope.INVOICE else None,
        connection=connection,
        account=account,
        scope=error.scope if error.scope is not Scope.ACCOUNT or account is not None else Scope.CONNECTION,
        step=step,
        url=error.url and scrub.text(error.url),
        expires_at=error.expires_at,
    )


def stop_for(
    tx: Connection, error: Exception, *, at: dt.datetime, scrub: Scrubber, connection: str, account: str | None
) -> None:
    """Pause what an error stops beyond its own invoice, and ask the person whom a NeedsHuman names."""
    scope = stops(error)
    if scope is None:
        return
    words = scrub.text(str(error) or type(error).__name__)
    if scope is Scope.ACCOUNT and account is not None:
        ledger.pause(tx, t.account, account, at=at, actor=ledger.HUB, why=words)
    else:
        ledger.pause(tx, t.connection, connection, at=at, actor=ledger.HUB, why=words)
    if isinstance(error, NeedsHuman):
        open_for_human(tx, error, at=at, scrub=scrub, connection=connection, account=account, submission=None)


_LOOK = (
    "Sign in to the portal and look for {kind} {number} ({total}). If it is there, answer --sent with the portal's "
    "number as --reference; if it is not, answer --not-there and it is sent again; if the portal refused it, answer "
    "--refused with its words."
)


def ask_to_look(tx: Connection, submission_id: int, *, at: dt.datetime, why: str) -> int:
    """Ask whether the portal has an invoice."""
    key = ledger.key_of(tx, submission_id)
    return open_task(
        tx,
        TaskKind.LOOK,
        at=at,
        submission=ledger.lock(tx, submission_id),
        title=f"Is {key.kind} {key.number} at the portal? {why}",
        action=_LOOK.format(kind=key.kind, number=key.shown_number, total=key.total),
    )


_UNASKED = "look"  # the step of the task below


def ask_why_it_is_silent(tx: Connection, connection: str, words: str, *, at: dt.datetime) -> int:
    """Ask why a portal cannot be asked about what is in doubt: it would stay in doubt, and nobody would see why."""
    return open_task(
        tx,
        TaskKind.DO,
        at=at,
        connection=connection,
        scope=Scope.CONNECTION,
        step=_UNASKED,
        title=f"{connection} cannot be asked what became of invoices that may have arrived: {words}",
        action=f"See what `hub check {connection}` says and have it mended. The hub goes on asking, and sends none of "
        "these again meanwhile; this task closes by itself once the portal answers.",
    )


def it_answers(tx: Connection, connection: str, *, at: dt.datetime) -> None:
    """The portal answered a look: what was asked about its silence is answered."""
    k = t.task.c
    mine = sa.and_(k.connection == connection, k.scope == Scope.CONNECTION, k.step == _UNASKED)
    answered = {"answered_at": at, "answered_by": f"portal:{connection}", "answer": "it answers again"}
    tx.execute(t.task.update().where(mine, k.answered_at.is_(None)).values(**answered))


def close_tasks(
    tx: Connection, submission_id: int, kinds: tuple[TaskKind, ...], *, at: dt.datetime, by: str, answer: str
) -> None:
    """What was asked about an invoice has been answered otherwise."""
    tx.execute(
        t.task.update()
        .where(
            t.task.c.submission_id == submission_id,
            t.task.c.kind.in_(kinds),
            t.task.c.answered_at.is_(None),
        )
        .values(answered_at=at, answered_by=by, answer=answer)
    )


def ask_to_delete_draft(tx: Connection, submission: Row[Any], number: str, *, at: dt.datetime) -> int | None:
    """A task where a draft of what was taken back stands at the portal: it would be sent by whoever finds it there."""
    worked = sa.select(t.step.c.id).where(t.step.c.submission_id == submission.id, t.step.c.done_at.is_not(None))
    if submission.sent_at is not None or (submission.portal_id is None and tx.execute(worked).first() is None):
        return None
    known_as = f" ({submission.portal_id})" if submission.portal_id else ""
    return open_task(
        tx,
        TaskKind.DO,
        at=at,
        submission=submission,
        step="draft",
        title=f"Delete the draft of {number} at the portal{known_as}; it was taken back here",
        action="Sign in to the portal, delete the draft, and answer --done.",
    )
