"""The road out: one submission, step by step, each at most once on the wire per attempt.

    claim (lease, fence) ─► ask first, where the portal can be asked ─► per step:
        attempt row (durable) ─► point of no return ─► submit ─► the end of the attempt, under the fence

Bytes lie fsynced in the archive since the check made the submission ready. What an error means is decided by
`verdict.after_error`, never by an exception's class alone: `delivered` says what may follow.
"""

from __future__ import annotations

import datetime as dt
import logging
import random
import traceback
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from hub import durable
from hub.contract.connector import Connector, Lookup, Receipt
from hub.contract.errors import NeedsHuman, PortalError, Reason, Rejected, Scope, Transient
from hub.contract.status import Delivered, Intake, Submission
from hub.delivery import asking, attempts, breaker, collect, evidence, late, ledger
from hub.delivery.asking import TaskKind
from hub.delivery.ledger import FencedOutError
from hub.delivery.lifecycle import Happening
from hub.delivery.reconcile import judge_before_first
from hub.delivery.registry import CALL_SECONDS, Portal
from hub.delivery.verdict import Verdict, after_error, backoff, not_sent
from hub.delivery.workspace import Workspace
from hub.schedule import last_fire, open_now
from hub.store import tables as t
from hub.store.database import StoreError

LEASE = dt.timedelta(seconds=2 * CALL_SECONDS)  # outlives the total deadline of a call; each attempt renews it
_log = logging.getLogger(__name__)


def due(ws: Workspace, connection: str, *, limit: int = 1000) -> list[int]:
    """Submissions of a connection that may go now, most urgent first."""
    s = t.submission.c
    at = ws.now()
    if not may_submit(ws, connection) or not ws.arming.may_send():
        return []
    query = (
        sa.select(s.id)
        .where(s.connection == connection, ledger.may_go(at), _has_come(ws, connection, at))
        .order_by(s.send_by.asc().nulls_last(), s.id)
        .limit(limit)
    )
    with ws.db.reading() as tx:
        return list(tx.execute(query).scalars())


def may_submit(ws: Workspace, connection: str) -> bool:
    """Whether these are hours in which this connection submits."""
    known = ws.config.connections.get(connection)
    return known is None or open_now(known.submitting.calendars, ws.now())


def _has_come(ws: Workspace, connection: str, at: dt.datetime) -> sa.ColumnElement[bool]:
    """Where a connection submits at certain times: what was ready by the last of them, and what is tried again."""
    known = ws.config.connections.get(connection)
    if known is None or known.submitting.cron is None:
        return sa.true()
    s = t.submission.c
    came = last_fire(known.submitting, at)
    ready = sa.false() if came is None else s.since <= came
    return sa.or_(ready, s.tries > 0, s.first_attempt_at.is_not(None))


def deliver(ws: Workspace, submission_id: int) -> Submission | None:
    """Bring one ready submission to its portal; the state it came to, or None if it was not to be had now."""
    if ws.arming.refused:
        return None
    at = ws.now()
    with ws.db.writing("deliver.claim") as tx:
        claim = ledger.claim(tx, submission_id, owner=ws.owner, until=at + LEASE, at=at)
        if claim is None:
            return None
        row = ledger.lock(tx, submission_id)
        if claim.failures >= breaker.OPENS_AFTER:
            breaker.try_one(tx, connection=row.connection, account=row.account, until=at + LEASE)
        steps = attempts.steps_of(tx, submission_id)
    try:
        _Run(ws, ws.portal(row.connection), row, claim.fence, claim.failures).go(steps)
    except FencedOutError as error:
        _log.warning("%s", error)
    except StoreError:
        raise
    except Exception as error:  # noqa: BLE001 - nothing may stay in sending when nobody sends it
        _log_defect(ws, error)
        _drop(ws, row, claim.fence, error)
    with ws.db.reading() as tx:
        return ledger.state_of(tx, row.id)


def _drop(ws: Workspace, row: Row[Any], fence: int, error: Exception) -> None:
    """A run broke off where it should not: an attempt without an end may have arrived; without one nothing did."""
    at = ws.now()
    words = ws.archive.scrub.text(str(error) or type(error).__name__)
    a = t.attempt.c
    under_way = sa.select(a.id).where(a.submission_id == row.id, a.fence == fence, a.finished_at.is_(None))
    with ws.db.writing("deliver.drop") as tx:
        now = ledger.lock(tx, row.id)
        if now.fence != fence or now.state != Submission.SENDING:
            return
        began = tx.execute(under_way).first() is not None
        happening = Happening.DOUBTED if began else Happening.RETURNED
        wait = ws.settles_within(row.connection) if began else backoff(now.tries + 1)
        tx.execute(t.submission.update().where(t.submission.c.id == row.id).values(tries=now.tries + 1))
        ledger.move(tx, row.id, happening, at=at, why=words, reason=Reason(words), due_at=at + wait, looks=0)
        collect.replay(tx, ws, row.id)


@dataclass
class _Run:
    """One claimed submission on its way."""

    ws: Workspace
    portal: Portal
    row: Row[Any]
    fence: int
    failures: int  # of the portal in a row, when this one was claimed

    def go(self, steps: list[Row[Any]]) -> None:
        """Ask first, then take each step that has not worked yet, as far as it goes."""
        if self.row.first_attempt_at is None and not self.may_go_first():
            return
        for step in steps:
            if step.done_at is None and not self.take(step, last=step is steps[-1]):
                return

    def connector(self) -> Connector:
        return self.portal.for_call(self.point_of_no_return)

    def point_of_no_return(self) -> None:
        """Right before the wire: lease and fence must still be ours, and nobody may have called a stop."""
        with self.ws.db.reading() as tx:
            refusal = self.ws.arming.refusal(tx)
            mine = ledger.still_mine(tx, self.row.id, self.fence, self.ws.now())
        if refusal or not mine or self.ws.cancel.is_set():
            why = refusal or ("the hub is stopping" if mine else "the time for this attempt ran out")
            raise Transient(f"not sent: {why}", delivered=Delivered.NO, scope=Scope.INVOICE)

    def may_go_first(self) -> bool:
        """Before the first attempt a portal that can be asked is asked: somebody may have keyed it in by hand."""
        connector = self.connector()
        if connector.capabilities.lookup is not Lookup.EXACT:
            return True
        with self.ws.db.reading() as tx:
            if _a_person_looked(tx, self.row.id):
                return True
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
        _log_defect(self.ws, error)
        at = self.ws.now()
        scrub = self.ws.archive.scrub
        words = scrub.text(str(error) or type(error).__name__)
        tries = int(self.row.tries) + 1
        fact: dict[str, Any] = {"at": at, "fence": self.fence, "reason": Reason(words), "tries": tries}
        why = f"could not ask the portal first: {words}"
        with self.ws.db.writing("deliver.give-back") as tx:
            self.under_fence(tx)
            held = self.judge_portal(tx, error, at=at, words=words)
            verdict = not_sent(error, tries=tries, held=held, spread=random.random())  # noqa: S311 - spreads retries
            due_at = None if verdict.due_in is None else at + verdict.due_in
            ledger.move(tx, self.row.id, verdict.happening, why=why, due_at=due_at, **fact)
            if isinstance(error, NeedsHuman) and error.scope is Scope.INVOICE:
                self.ask(tx, error, at=at)
            elif verdict.happening is Happening.STUCK:
                self.give_up(tx, tries, words, at=at)
            asking.stop_for(tx, error, at=at, scrub=scrub, connection=self.portal.key, account=self.row.account)

    def take(self, step: Row[Any], *, last: bool) -> bool:
        """Send one step; True if the next may follow."""
        try:
            content = self.ws.blobs.read(step.body_sha256)
        except (OSError, ValueError) as error:
            self.cannot_read(error)
            return False
        at = self.ws.now()
        with self.ws.db.writing("deliver.begin") as tx:
            begun = attempts.begin(tx, self.row, step, fence=self.fence, at=at, lease_until=at + LEASE)
            attempt_id = begun.attempt_id
            done = attempts.receipts_of(attempts.steps_of(tx, self.row.id)) if step.position else {}
            evidence.chain(tx, "sent", step.body_sha256, at=at, submission_id=self.row.id, attempt_id=attempt_id)
        connector = self.connector()
        try:
            self.ws.arming.raise_to(self.portal.key, begun.mark)
            receipt = connector.submit(attempts.step_from_row(step, content), done)
        except Exception as error:  # noqa: BLE001 - whatever it is, the ledger must know how this attempt ended
            durable.landed("portal.answered")
            self.fail(connector, step, attempt_id, error)
            return False
        durable.landed("portal.answered")
        return self.succeed(step, attempt_id, receipt, last=last)

    def cannot_read(self, error: OSError | ValueError) -> None:
        """The stored bytes are gone or damaged: nothing else may go in their place."""
        at = self.ws.now()
        why = f"what would be sent cannot be read: {error}"
        with self.ws.db.writing("deliver.unreadable") as tx:
            ledger.move(tx, self.row.id, Happening.STUCK, at=at, why=why, fence=self.fence, reason=Reason(why))
            asking.open_task(
                tx,
                TaskKind.DO,
                at=at,
                submission=ledger.lock(tx, self.row.id),
                title=f"The stored document of {ledger.key_of(tx, self.row.id).number} is gone or damaged",
                action=f"{why}\nRestore the file from a backup and answer --done; or answer --withdraw.",
            )

    def succeed(self, step: Row[Any], attempt_id: int, receipt: Receipt, *, last: bool) -> bool:
        at = self.ws.now()
        scrub = self.ws.archive.scrub
        reply = self.ws.archive.put(receipt.reply)
        receipt = Receipt(scrub.refs(receipt.refs), receipt.intake, b"", scrub.text(receipt.words))
        end = attempts.End(at, Delivered.YES, "sent", receipt.words, reply_sha256=reply)
        try:
            with self.ws.db.writing("deliver.succeed") as tx:
                self.under_fence(tx)
                if self.failures:
                    breaker.worked(tx, connection=self.portal.key, account=self.row.account, at=at)
                attempts.end(tx, attempt_id, end)
                attempts.keep_receipt(tx, step.id, receipt, at)
                if last:
                    self.arrive(tx, attempt_id, receipt, at=at)
                else:
                    known = attempts.known_by(receipt)
                    if known:
                        tx.execute(t.submission.update().where(t.submission.c.id == self.row.id).values(**known))
                self.prove(tx, reply, attempt_id, at=at)
        except FencedOutError:
            late.keep(self.ws, self.row.id, step, attempt_id, end, receipt, last=last)
            raise
        return not last

    def under_fence(self, tx: Connection) -> Row[Any]:
        """The submission's row, locked; raises FencedOutError if it is another's by now."""
        now = ledger.lock(tx, self.row.id)
        if now.fence != self.fence:
            raise FencedOutError(f"submission {now.id} is at fence {now.fence}, not {self.fence}: the answer came late")
        return now

    def arrive(self, tx: Connection, attempt_id: int, receipt: Receipt, *, at: dt.datetime) -> None:
        """The last step worked: it is sent, and what the portal said meanwhile is listened to."""
        fact: dict[str, Any] = {"at": at, "actor": f"portal:{self.portal.key}", "evidence": f"attempt:{attempt_id}"}
        why = f"the portal took it: {receipt.words}" if receipt.words else "the portal took it"
        values = attempts.known_by(receipt) | {"sent_at": at, "tries": 0}
        ledger.move(tx, self.row.id, Happening.DELIVERED, why=why, fence=self.fence, **fact, **values)
        if receipt.intake is Intake.ACCEPTED:
            why = "the portal accepted it in its reply"
            ledger.move(tx, self.row.id, Happening.ACCEPTED, why=why, intake_at=at, **fact)
        collect.replay(tx, self.ws, self.row.id)

    def fail(self, connector: Connector, step: Row[Any], attempt_id: int, error: Exception) -> None:
        _log_defect(self.ws, error)
        at = self.ws.now()
        scrub = self.ws.archive.scrub
        words = scrub.text(str(error) or type(error).__name__)
        raw = error.reply if isinstance(error, PortalError) else b""
        reply = self.ws.archive.put(raw) if raw else None
        settles = connector.capabilities.settles_within
        end = attempts.End(
            at,
            error.delivered if isinstance(error, PortalError) else Delivered.UNKNOWN,
            type(error).__name__,
            words,
            scrub.reasons(error.reasons) if isinstance(error, Rejected) else (),
            reply,
        )
        try:
            with self.ws.db.writing("deliver.fail") as tx:
                now = self.under_fence(tx)
                earlier = attempts.may_have_arrived(tx, step.id, besides=attempt_id) > 0
                verdict = after_error(
                    error,
                    tries=now.tries,
                    earlier_may_have_arrived=earlier,
                    settles_within=settles,
                    held=self.judge_portal(tx, error, at=at, words=words),
                    spread=random.random(),  # noqa: S311 - spreads retries, guards nothing
                )
                attempts.end(tx, attempt_id, end)
                self.settle(tx, step, attempt_id, error, verdict, at=at, words=words)
                if reply is not None:
                    self.prove(tx, reply, attempt_id, at=at)
        except FencedOutError:
            late.keep(self.ws, self.row.id, step, attempt_id, end, None, last=False)
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
        scrub = self.ws.archive.scrub
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
            reason=next(iter(scrub.reasons([verdict.reason] if verdict.reason else [])), None),
            due_at=None if verdict.due_in is None else at + verdict.due_in,
            looks=0,
            **values,
        )
        if isinstance(error, NeedsHuman) and error.scope is Scope.INVOICE:
            self.ask(tx, error, at=at, step=step.name)
        elif verdict.happening is Happening.STUCK:
            self.give_up(tx, ledger.lock(tx, self.row.id).tries, words, at=at)
        asking.stop_for(tx, error, at=at, scrub=scrub, connection=self.portal.key, account=self.row.account)
        collect.replay(tx, self.ws, self.row.id)

    def judge_portal(self, tx: Connection, error: Exception, *, at: dt.datetime, words: str) -> bool:
        """Whether the portal fails so often that nothing goes there for a while; an answer of any kind ends that."""
        place: dict[str, Any] = {"connection": self.portal.key, "account": self.row.account, "at": at}
        if isinstance(error, PortalError) and not isinstance(error, Transient) and self.failures:
            breaker.worked(tx, **place)
        return breaker.failed(tx, error, seen=self.failures, words=words, **place)

    def give_up(self, tx: Connection, tries: int, words: str, *, at: dt.datetime) -> None:
        """It failed too often while nothing was delivered: a person mends what only this one suffers from."""
        asking.open_task(
            tx,
            TaskKind.DO,
            at=at,
            submission=ledger.lock(tx, self.row.id),
            title=f"{ledger.key_of(tx, self.row.id).number} could not be sent {tries} times in a row: {words}",
            action="It did not arrive, others go. Mend what the words name and answer --done: it is sent again. Or "
            "answer --withdraw.",
        )

    def ask(self, tx: Connection, error: NeedsHuman, *, at: dt.datetime, step: str = "") -> None:
        """The task that the connector asks for."""
        asking.open_for_human(
            tx,
            error,
            at=at,
            scrub=self.ws.archive.scrub,
            connection=self.portal.key,
            account=self.row.account,
            submission=ledger.lock(tx, self.row.id),
            step=step,
            keyed_in=self.connector().capabilities.people,
        )

    def prove(self, tx: Connection, reply: str, attempt_id: int, *, at: dt.datetime) -> None:
        evidence.chain(tx, "reply", reply, at=at, submission_id=self.row.id, attempt_id=attempt_id)


def _a_person_looked(tx: Connection, submission_id: int) -> bool:
    """Whether a person has looked at what stands at the portal under this number, and said that it is not this one."""
    return tx.execute(_LOOKED, {"submission": submission_id}).first() is not None


_LOOKED = sa.select(t.task.c.id).where(
    t.task.c.submission_id == sa.bindparam("submission"),
    t.task.c.kind == TaskKind.LOOK,
    t.task.c.answer.startswith("not-there"),
)


def _log_defect(ws: Workspace, error: Exception) -> None:
    if not isinstance(error, PortalError):
        told = "".join(traceback.format_exception(error))
        _log.error("the connector failed in a way it should not: %s", ws.archive.scrub.text(told))
