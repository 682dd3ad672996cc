"""The road out: one submission, step by step, each at most once on the wire per attempt.

    claim (lease, fence) ─► ask first, where the portal can be asked ─► per step:
        attempt row (durable) ─► point of no return ─► submit ─► the end of the attempt, under the fence

Bytes lie fsynced in the archive since the check made the submission ready. What an error means is decided by
`verdict.after_error`, never by an exception's class alone: `delivered` says what may follow.
"""

from __future__ import annotations

import datetime as dt
import logging
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from hub.contract.connector import Connector, Lookup, Receipt
from hub.contract.errors import NeedsHuman, PortalError, Reason, Rejected, Transient
from hub.contract.status import Delivered, Intake, Submission
from hub.delivery import evidence, ledger, tasks
from hub.delivery.ledger import FencedOutError
from hub.delivery.lifecycle import Happening
from hub.delivery.reconcile import judge_before_first
from hub.delivery.registry import CALL_SECONDS, Portal
from hub.delivery.verdict import Verdict, after_error, backoff
from hub.delivery.workspace import Workspace
from hub.store import tables as t

LEASE = dt.timedelta(seconds=2 * CALL_SECONDS)  # outlives an attempt's total deadline
_log = logging.getLogger(__name__)


def due(ws: Workspace, connection: str, *, limit: int = 1000) -> list[int]:
    """Ready submissions of a connection whose time has come, most urgent first."""
    s = t.submission.c
    at = ws.now()
    query = (
        sa.select(s.id)
        .where(s.connection == connection, s.state == Submission.READY, sa.or_(s.due_at.is_(None), s.due_at <= at))
        .order_by(s.send_by.asc().nulls_last(), s.id)
        .limit(limit)
    )
    with ws.db.reading() as tx:
        return list(tx.execute(query).scalars())


def deliver(ws: Workspace, submission_id: int) -> Submission | None:
    """Bring one ready submission to its portal; the state it came to, or None if it was not to be had now."""
    at = ws.now()
    with ws.db.writing() as tx:
        fence = ledger.claim(tx, submission_id, owner=ws.owner, until=at + LEASE, at=at)
        if fence is None:
            return None
        row = ledger.lock(tx, submission_id)
        steps = ledger.steps(tx, submission_id)
    run = _Run(ws, ws.portal(row.connection), row, fence)
    try:
        if row.first_attempt_at is None and not run.may_go_first():
            return run.state()
        for step in steps:
            if step.done_at is None and not run.take(step, last=step.position == len(steps) - 1):
                break
    except FencedOutError as error:
        _log.warning("%s", error)
    return run.state()


@dataclass
class _Run:
    """One claimed submission on its way."""

    ws: Workspace
    portal: Portal
    row: Row[Any]
    fence: int

    def connector(self) -> Connector:
        return self.portal.for_call(self.point_of_no_return)

    def point_of_no_return(self) -> None:
        """Right before the wire: lease and fence must still be ours, and nobody may have called a stop."""
        with self.ws.db.reading() as tx:
            mine = ledger.still_mine(tx, self.row.id, self.fence, self.ws.now())
        if not mine or self.ws.cancel.is_set():
            why = "the hub is stopping" if mine else "another worker took this invoice over"
            raise Transient(f"not sent: {why}", delivered=Delivered.NO)

    def state(self) -> Submission:
        with self.ws.db.reading() as tx:
            query = sa.select(t.submission.c.state).where(t.submission.c.id == self.row.id)
            return Submission(tx.execute(query).scalar_one())

    def may_go_first(self) -> bool:
        """Before the first attempt a portal that can be asked is asked: somebody may have keyed it in by hand."""
        connector = self.connector()
        if connector.capabilities.lookup is not Lookup.EXACT:
            return True
        with self.ws.db.reading() as tx:
            key = ledger.key_of(tx, self.row.id)
        try:
            found = connector.find(key)
        except Exception as error:  # noqa: BLE001 - nothing was sent yet; every failure goes back to ready
            self.give_back(error)
            return False
        if not found:
            return True
        return judge_before_first(self.ws, self.row.id, self.fence, key, found)

    def give_back(self, error: Exception) -> None:
        """The portal could not be asked; nothing was sent."""
        _log_defect(error)
        at = self.ws.now()
        words = self.ws.archive.scrub.text(str(error) or type(error).__name__)
        retry_after = error.retry_after if isinstance(error, Transient) else None
        with self.ws.db.writing() as tx:
            tx.execute(
                t.submission.update().where(t.submission.c.id == self.row.id).values(tries=t.submission.c.tries + 1)
            )
            ledger.move(
                tx,
                self.row.id,
                Happening.RETURNED,
                at=at,
                why=f"could not ask the portal first: {words}",
                fence=self.fence,
                reason=Reason(words),
                due_at=at + backoff(int(self.row.tries) + 1, retry_after),
            )
            tasks.stop_for(tx, error, at=at, portal=self.portal.key, account=self.row.account, words=words)

    def take(self, step: Row[Any], *, last: bool) -> bool:
        """Send one step; True if the next may follow."""
        content = self.ws.blobs.read(step.body_sha256)
        at = self.ws.now()
        with self.ws.db.writing() as tx:
            earlier = ledger.attempts_that_may_have_arrived(tx, self.row.id)
            attempt_id = ledger.begin_attempt(tx, self.row, step, fence=self.fence, at=at)
            evidence.chain(tx, "sent", step.body_sha256, at=at, submission_id=self.row.id, attempt_id=attempt_id)
            done = {
                other.name: receipt
                for other in ledger.steps(tx, self.row.id)
                if (receipt := ledger.receipt_of(other)) is not None
            }
        connector = self.connector()
        try:
            receipt = connector.submit(ledger.step_from_row(step, content), done)
        except Exception as error:  # noqa: BLE001 - whatever it is, the ledger must know how this attempt ended
            self.fail(connector, step, attempt_id, error, earlier=earlier > 0)
            return False
        return self.succeed(step, attempt_id, receipt, last=last)

    def succeed(self, step: Row[Any], attempt_id: int, receipt: Receipt, *, last: bool) -> bool:
        at = self.ws.now()
        reply = self.ws.archive.put(receipt.reply)
        words = self.ws.archive.scrub.text(receipt.words)
        fact: dict[str, Any] = {"at": at, "actor": f"portal:{self.portal.key}", "evidence": f"attempt:{attempt_id}"}
        end = ledger.End(at, Delivered.YES, "sent", words, reply_sha256=reply)
        try:
            with self.ws.db.writing() as tx:
                ledger.end_attempt(tx, attempt_id, end)
                ledger.keep_receipt(tx, step.id, receipt, at)
                evidence.chain(tx, "reply", reply, at=at, submission_id=self.row.id, attempt_id=attempt_id)
                values: dict[str, Any] = _known_by(receipt) | ({"sent_at": at, "tries": 0} if last else {})
                if not last:
                    tx.execute(t.submission.update().where(t.submission.c.id == self.row.id).values(**values))
                    return True
                why = f"the portal took it: {words}" if words else "the portal took it"
                ledger.move(tx, self.row.id, Happening.DELIVERED, why=why, fence=self.fence, **fact, **values)
                if receipt.intake is Intake.ACCEPTED:
                    why = "the portal accepted it in its reply"
                    ledger.move(tx, self.row.id, Happening.ACCEPTED, why=why, intake_at=at, **fact)
        except FencedOutError:
            self.keep_late(attempt_id, end)
            raise
        return False

    def fail(self, connector: Connector, step: Row[Any], attempt_id: int, error: Exception, *, earlier: bool) -> None:
        _log_defect(error)
        at = self.ws.now()
        scrub = self.ws.archive.scrub.text
        words = scrub(str(error) or type(error).__name__)
        raw = error.reply if isinstance(error, PortalError) else b""
        reply = self.ws.archive.put(raw) if raw else None
        settles = connector.capabilities.settles_within
        with self.ws.db.reading() as tx:
            tries = int(ledger_tries(tx, self.row.id))
        verdict = after_error(error, tries=tries, earlier_may_have_arrived=earlier, settles_within=settles)
        end = ledger.End(
            at,
            error.delivered if isinstance(error, PortalError) else Delivered.UNKNOWN,
            type(error).__name__,
            words,
            error.reasons if isinstance(error, Rejected) else (),
            reply,
        )
        try:
            with self.ws.db.writing() as tx:
                ledger.end_attempt(tx, attempt_id, end)
                if reply is not None:
                    evidence.chain(tx, "reply", reply, at=at, submission_id=self.row.id, attempt_id=attempt_id)
                self.settle(tx, step, attempt_id, error, verdict, at=at, words=words)
        except FencedOutError:
            self.keep_late(attempt_id, end)
            raise

    def settle(
        self,
        tx: Connection,
        step: Row[Any],
        attempt_id: int,
        error: Exception,
        verdict: Verdict,
        *,
        at: dt.datetime,
        words: str,
    ) -> None:
        scrub = self.ws.archive.scrub.text
        reason = verdict.reason and Reason(scrub(verdict.reason.text), verdict.reason.code, verdict.reason.portal_code)
        values: dict[str, Any] = {"duplicate_at": at} if verdict.duplicate else {}
        ledger.move(
            tx,
            self.row.id,
            verdict.happening,
            at=at,
            why=words,
            actor=f"portal:{self.portal.key}" if isinstance(error, Rejected) else ledger.HUB,
            evidence=f"attempt:{attempt_id}",
            fence=self.fence,
            reason=reason,
            due_at=None if verdict.due_in is None else at + verdict.due_in,
            looks=0,
            **values,
        )
        if isinstance(error, NeedsHuman):
            row = ledger.lock(tx, self.row.id)
            people = self.connector().capabilities.people
            tasks.open_for_human(
                tx,
                error,
                at=at,
                connection=self.portal.key,
                account=row.account,
                submission=row,
                step=step.name,
                keyed_in=people,
            )
        tasks.stop_for(tx, error, at=at, portal=self.portal.key, account=self.row.account, words=words, task=False)

    def keep_late(self, attempt_id: int, end: ledger.End) -> None:
        """The lease ran out before the answer came: it is evidence, and reconciling it comes next."""
        with self.ws.db.writing() as tx:
            ledger.end_attempt(tx, attempt_id, end, late=True)
            tx.execute(
                t.submission.update()
                .where(t.submission.c.id == self.row.id, t.submission.c.state == Submission.IN_DOUBT)
                .values(due_at=self.ws.now())
            )


def ledger_tries(tx: Connection, submission_id: int) -> int:
    """How often it was tried since it last became ready by a check or a person."""
    tries: int = tx.execute(sa.select(t.submission.c.tries).where(t.submission.c.id == submission_id)).scalar_one()
    return tries


def _known_by(receipt: Receipt) -> dict[str, Any]:
    """What the portal's reply says it knows the document by."""
    return {"portal_id": receipt.refs.portal_id} if receipt.refs.portal_id else {}


def _log_defect(error: Exception) -> None:
    if not isinstance(error, PortalError):
        _log.error("the connector failed in a way it should not: %s", type(error).__name__, exc_info=error)
