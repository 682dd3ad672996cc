"""Answers that come after their lease ran out: evidence always, and a yes to the last step settles the doubt."""

from __future__ import annotations

import datetime as dt
from typing import Any

from sqlalchemy.engine import Connection, Row

from hub.contract.connector import Receipt, Repeat
from hub.contract.status import Submission
from hub.delivery import asking, attempts, collect, evidence, ledger
from hub.delivery.asking import TaskKind
from hub.delivery.lifecycle import Happening, IllegalMoveError
from hub.delivery.workspace import Workspace


def keep(
    ws: Workspace,
    submission_id: int,
    step: Row[Any],
    attempt_id: int,
    end: attempts.End,
    receipt: Receipt | None,
    *,
    last: bool,
) -> None:
    """Write down how the attempt ended; `receipt` is the portal's yes, if it was one, `last`: no step follows."""
    at = ws.now()
    with ws.db.writing("deliver.late") as tx:
        now = ledger.lock(tx, submission_id)
        attempts.end(tx, attempt_id, end, late=True)
        if receipt is not None:
            attempts.keep_receipt(tx, step.id, receipt, at)
        if receipt is not None and last:
            _arrive(tx, ws, now, step, attempt_id, receipt, at=at)
        if end.reply_sha256 is not None:
            evidence.chain(tx, "reply", end.reply_sha256, at=at, submission_id=submission_id, attempt_id=attempt_id)


def _arrive(
    tx: Connection,
    ws: Workspace,
    now: Row[Any],
    step: Row[Any],
    attempt_id: int,
    receipt: Receipt,
    *,
    at: dt.datetime,
) -> None:
    """A yes that came late is a yes; whoever is about to send it again is shut out."""
    why = f"the portal took it, and its answer came late: {receipt.words}".removesuffix(": ")
    fact: dict[str, Any] = {"at": at, "actor": f"portal:{now.connection}", "evidence": f"attempt:{attempt_id}"}
    try:
        values: dict[str, Any] = attempts.known_by(receipt) | {"sent_at": now.sent_at or at}
        ledger.move(tx, now.id, Happening.FOUND, why=why, fence_up=True, **fact, **values)
    except IllegalMoveError:
        _too_late(tx, now, step, attempt_id, why, at=at)
        return
    asking.close_tasks(tx, now.id, (TaskKind.LOOK,), at=at, by=fact["actor"], answer=why)
    collect.replay(tx, ws, now.id)


def _too_late(tx: Connection, now: Row[Any], step: Row[Any], attempt_id: int, why: str, *, at: dt.datetime) -> None:
    """It came to another end meanwhile: a person is asked, unless both say that the portal has it, and has one."""
    known = now.state in {Submission.SENT, Submission.ACCEPTED}
    twice = step.repeat == Repeat.UNSAFE and attempts.may_have_arrived(tx, step.id, besides=attempt_id) > 0
    if known and not twice:
        return
    said = "it may stand there twice" if known else f"it is {now.state} here"
    asking.open_task(
        tx,
        TaskKind.DECIDE,
        at=at,
        submission=now,
        step=f"attempt:{attempt_id}",
        title=f"What is true? {said}, and {why}",
        action="Look at the portal and answer what is true. Until then no correction is taken.",
    )
