"""The road in: an invoice that was read becomes a document of the ledger, is checked, and is held or made ready.

read ─► receive (identity, revision) ─► check: route ─► rules ─► map ─► prepare ─► ready, or held with findings
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from hub.contract.invoice import Invoice, Party, number_key
from hub.contract.status import Stage, Submission
from hub.delivery import attempts, evidence, ledger
from hub.delivery.asking import TaskKind, ask_to_delete_draft, close_tasks
from hub.delivery.binding import was_refused
from hub.delivery.lifecycle import Happening, IllegalMoveError
from hub.delivery.workspace import Workspace
from hub.requirements.customers import whose
from hub.sources.read import Read, Refused
from hub.store import tables as t
from hub.store.database import insert_new
from hub.store.types import LARGEST

S = Submission


class Outcome(StrEnum):
    """What receiving an invoice did."""

    RECEIVED = "received"
    REPEATED = "repeated"  # the same content is here already; nothing was changed


@dataclass(frozen=True)
class Received:
    """What became of one invoice that was read."""

    outcome: Outcome
    submission_id: int
    revision_id: int


class ConflictError(Exception):
    """The number is taken by other content that can no longer be replaced; nothing was changed."""


def receive(ws: Workspace, read: Read, name: str, content: bytes, *, by: str = ledger.HUB) -> Received:
    """Store an invoice under its identity; the same content again changes nothing.

    Other content under the same number becomes a new revision where the last one was not sent, was refused or taken
    back, or was rejected by a customer that takes corrections; else ConflictError names both. Raises Refused for
    amounts beyond the ledger's columns.
    """
    invoice = read.invoice
    _fits_the_ledger(invoice)
    for blob in read.blobs.values():
        ws.blobs.put(blob)
    source_sha256 = ws.blobs.put(content)
    canonical = json.dumps(invoice.canonical(), sort_keys=True, ensure_ascii=False)
    with ws.db.writing("admit.receive") as tx:
        document = _document(tx, ws, invoice)
        last = _last(tx, document.id)
        content_sha256 = hashlib.sha256(canonical.encode()).hexdigest()
        if last is not None and last.content_sha256 == content_sha256:
            return Received(Outcome.REPEATED, last.id, last.revision_id)
        if last is not None:
            _make_way(tx, ws, document, last, name)
        revision = _NewRevision(canonical, content_sha256, read.format, name, source_sha256, by)
        return _store(tx, ws, document, last, invoice, revision)


def _fits_the_ledger(invoice: Invoice) -> None:
    """Raises Refused for an amount that no column holds exactly: such a file would come back at every scan."""
    for field, amount in (("with_tax", invoice.totals.with_tax), ("payable", invoice.totals.payable)):
        if abs(amount) >= LARGEST or amount != round(amount, 4):
            raise Refused(
                f"{amount:f} {invoice.currency} is no amount that an invoice has; correct it at its source",
                f"totals.{field}",
            )


def send_again(ws: Workspace, submission_id: int, *, by: str, why: str) -> Received:
    """A person wants a refused or withdrawn invoice to go once more as it is: a new revision of the same content."""
    with ws.db.writing("admit.send-again") as tx:
        document = _locked(tx, t.document.c.id == _document_of(submission_id))
        newest = _last(tx, document.id)
        if newest is None or newest.id != submission_id or newest.state not in {S.REFUSED, S.WITHDRAWN}:
            state = newest.state if newest is not None and newest.id == submission_id else "replaced by a newer one"
            raise ConflictError(f"{document.number} is {state}; only what was refused or withdrawn goes once more")
        _make_way(tx, ws, document, newest, "the same content")
        old = tx.execute(sa.select(t.revision).where(t.revision.c.id == newest.revision_id)).one()
        revision = _NewRevision(
            old.invoice, old.content_sha256, old.source, old.source_name, old.source_sha256, f"person:{by}", why
        )
        return _store(tx, ws, document, newest, Invoice.model_validate_json(old.invoice), revision)


def withdraw(ws: Workspace, submission_id: int, *, by: str, why: str) -> None:
    """Take back what was not delivered; ConflictError where it is too late for that."""
    at = ws.now()
    with ws.db.writing("admit.withdraw") as tx:
        row = ledger.lock(tx, submission_id)
        if row.state == S.READY and attempts.is_in_the_open(tx, submission_id):
            raise ConflictError("it may be at the portal already; it is sent again or looked for first")
        if row.state == S.NEEDS_HUMAN and attempts.may_be_there(tx, row):
            raise ConflictError(
                "it may be at the portal; answer its task first, then it can be withdrawn (`hub tasks`)"
            )
        try:
            ledger.move(tx, submission_id, Happening.WITHDRAWN, at=at, why=why, actor=f"person:{by}")
        except IllegalMoveError:
            raise ConflictError(f"it is {row.state}; only what was not delivered can be withdrawn") from None
        close_tasks(tx, submission_id, (TaskKind.KEY_IN, TaskKind.LOOK, TaskKind.DO), at=at, by=by, answer="withdrawn")
        ask_to_delete_draft(tx, row, ledger.key_of(tx, submission_id).number, at=at)


@dataclass(frozen=True)
class _NewRevision:
    canonical: str
    content_sha256: str
    source: str
    source_name: str
    source_sha256: str
    by: str
    why: str = "read"


def _document(tx: Connection, ws: Workspace, invoice: Invoice) -> Row[Any]:
    """The document with this invoice's identity, made if it is new."""
    entity, customer = whose(ws.directory, invoice)
    identity = {
        "entity": entity or _unresolved(invoice.seller),
        "customer": customer or _unresolved(invoice.buyer),
        "kind": invoice.kind,
        "number_key": number_key(invoice.number),
    }
    insert_new(tx, t.document, **identity, number=invoice.number, created_at=ws.now())
    return _locked(tx, *(t.document.c[name] == value for name, value in identity.items()))


def _locked(tx: Connection, *where: sa.ColumnElement[bool]) -> Row[Any]:
    """The document, held until the transaction ends: of two who bring it at once, the second sees the first's."""
    return tx.execute(sa.select(t.document).where(*where).with_for_update(key_share=True)).one()


def _document_of(submission_id: int) -> sa.ScalarSelect[int]:
    return sa.select(t.submission.c.document_id).where(t.submission.c.id == submission_id).scalar_subquery()


def _unresolved(party: Party) -> str:
    """A stand-in for a party that hub.yaml does not know: two strangers must not share an identity by accident."""
    return "?" + hashlib.sha256(party.model_dump_json().encode()).hexdigest()[:12]


def _last(tx: Connection, document_id: int) -> Row[Any] | None:
    query = (
        sa.select(t.submission, t.revision.c.content_sha256, t.revision.c.seq, t.revision.c.source_name)
        .join(t.revision, t.submission.c.revision_id == t.revision.c.id)
        .where(t.submission.c.document_id == document_id)
        .order_by(t.revision.c.seq.desc())
        .limit(1)
    )
    row = tx.execute(query).one_or_none()
    if row is not None:
        ledger.lock(tx, row.id)  # from here on no worker can take it
        row = tx.execute(query).one()
    return row


_REPLACEABLE = (S.DRAFT, S.HELD, S.READY, S.REFUSED, S.WITHDRAWN)
_CORRECTABLE = (Stage.REJECTED, Stage.DISPUTED, Stage.CANCELLED)


def _make_way(tx: Connection, ws: Workspace, document: Row[Any], last: Row[Any], name: str) -> None:
    """Let the last revision, which is locked, step aside for a new one; ConflictError where it must not."""
    number = f"{document.kind} {document.number} of {document.customer}"
    doubt = (
        tx.execute(
            sa.select(t.task.c.id)
            .join(t.submission, t.task.c.submission_id == t.submission.c.id)
            .where(
                t.submission.c.document_id == document.id,
                t.task.c.kind == TaskKind.DECIDE,
                t.task.c.answered_at.is_(None),
            )
        )
        .scalars()
        .first()
    )
    if doubt is not None:
        raise ConflictError(f"{number}: task {doubt} must be answered first (`hub tasks`); {name} was not taken")
    customer = ws.config.customers.get(document.customer)
    corrects = customer is not None and customer.corrections_after_rejection
    if last.state == S.ACCEPTED and last.stage in _CORRECTABLE and corrects:
        pass
    elif last.state not in _REPLACEABLE:
        raise ConflictError(
            f"{number} is {last.state} already with other content (from {last.source_name}); {name} was not taken. "
            "Send a credit note, or give the correction a number of its own"
        )
    if last.state == S.READY and attempts.is_in_the_open(tx, last.id):
        raise ConflictError(
            f"{number} may be at the portal already with other content (from {last.source_name}), and is sent again or "
            f"looked for first; {name} was not taken. Bring it again once that is settled"
        )
    if last.state not in {S.WITHDRAWN, S.SUPERSEDED}:
        ledger.move(tx, last.id, Happening.SUPERSEDED, at=ws.now(), why=f"replaced by {name}")


def _store(
    tx: Connection,
    ws: Workspace,
    document: Row[Any],
    last: Row[Any] | None,
    invoice: Invoice,
    new: _NewRevision,
) -> Received:
    at = ws.now()
    revision_id = tx.execute(
        t.revision.insert()
        .values(
            document_id=document.id,
            seq=1 if last is None else last.seq + 1,
            replaces_id=None if last is None else last.revision_id,
            content_sha256=new.content_sha256,
            invoice=new.canonical,
            source=new.source,
            source_name=new.source_name,
            source_sha256=new.source_sha256,
            created_at=at,
            created_by=new.by,
            shown_number=invoice.shown_number,
            issue_date=invoice.issue_date,
            due_date=invoice.due_date,
            order_number=invoice.order_numbers[0] if invoice.order_numbers else None,
            seller_name=invoice.seller.name,
            buyer_name=invoice.buyer.name,
            currency=invoice.currency,
            total=invoice.totals.with_tax,
            payable=invoice.totals.payable,
        )
        .returning(t.revision.c.id)
    ).scalar_one()
    submission_id = tx.execute(
        t.submission.insert()
        .values(
            document_id=document.id,
            revision_id=revision_id,
            state=S.DRAFT,
            since=at,
            portal_id=None if last is None else _draft_of(tx, last),
        )
        .returning(t.submission.c.id)
    ).scalar_one()
    ledger.note(
        tx,
        "submission",
        after=S.DRAFT,
        at=at,
        actor=new.by,
        why=f"{new.why}: {new.source_name}",
        submission_id=submission_id,
        evidence=f"source:{new.source_sha256}",
    )
    evidence.chain(tx, "source", new.source_sha256, at=at, submission_id=submission_id)
    return Received(Outcome.RECEIVED, submission_id, revision_id)


def _draft_of(tx: Connection, last: Row[Any]) -> str | None:
    """The portal's id of the draft that a revision left there: its successor takes it over and updates it."""
    is_draft = last.sent_at is None and last.state != S.WITHDRAWN and not was_refused(tx, last.id)
    return last.portal_id if is_draft else None
