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
from hub.delivery import evidence, ledger, tasks
from hub.delivery.lifecycle import Happening, IllegalMoveError
from hub.delivery.workspace import Workspace
from hub.requirements.customers import whose
from hub.sources.read import Read
from hub.store import tables as t

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
    back, or was rejected by a customer that takes corrections; else ConflictError names both.
    """
    invoice = read.invoice
    for blob in read.blobs.values():
        ws.blobs.put(blob)
    source_sha256 = ws.blobs.put(content)
    canonical = json.dumps(invoice.canonical(), sort_keys=True, ensure_ascii=False)
    with ws.db.writing() as tx:
        document = _document(tx, ws, invoice)
        last = _last(tx, document.id)
        content_sha256 = hashlib.sha256(canonical.encode()).hexdigest()
        if last is not None and last.content_sha256 == content_sha256:
            return Received(Outcome.REPEATED, last.id, last.revision_id)
        if last is not None:
            _make_way(tx, ws, document, last, name)
        revision = _NewRevision(canonical, content_sha256, read.format, name, source_sha256, by)
        return _store(tx, ws, document, last, invoice, revision)


def send_again(ws: Workspace, submission_id: int, *, by: str, why: str) -> Received:
    """A person wants a refused or withdrawn invoice to go once more as it is: a new revision of the same content."""
    with ws.db.writing() as tx:
        last = ledger.lock(tx, submission_id)
        document = tx.execute(sa.select(t.document).where(t.document.c.id == last.document_id)).one()
        newest = _last(tx, document.id)
        if newest is None or newest.id != submission_id or last.state not in {S.REFUSED, S.WITHDRAWN}:
            raise ConflictError(f"{document.number} is {last.state}; only what was refused or withdrawn goes once more")
        _make_way(tx, ws, document, newest, "the same content")
        old = tx.execute(sa.select(t.revision).where(t.revision.c.id == last.revision_id)).one()
        revision = _NewRevision(
            old.invoice, old.content_sha256, old.source, old.source_name, old.source_sha256, f"person:{by}", why
        )
        return _store(tx, ws, document, newest, Invoice.model_validate_json(old.invoice), revision)


def withdraw(ws: Workspace, submission_id: int, *, by: str, why: str) -> None:
    """Take back what was not delivered; ConflictError where it is too late for that."""
    with ws.db.writing() as tx:
        row = ledger.lock(tx, submission_id)
        try:
            ledger.move(tx, submission_id, Happening.WITHDRAWN, at=ws.now(), why=why, actor=f"person:{by}")
        except IllegalMoveError:
            raise ConflictError(f"it is {row.state}; only what was not delivered can be withdrawn") from None


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
    query = sa.select(t.document).where(*(t.document.c[name] == value for name, value in identity.items()))
    row = tx.execute(query).one_or_none()
    if row is None:
        tx.execute(t.document.insert().values(**identity, number=invoice.number, created_at=ws.now()))
        row = tx.execute(query).one()
    return row


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
    return tx.execute(query).one_or_none()


_REPLACEABLE = (S.DRAFT, S.HELD, S.READY, S.REFUSED, S.WITHDRAWN)
_CORRECTABLE = (Stage.REJECTED, Stage.DISPUTED, Stage.CANCELLED)


def _make_way(tx: Connection, ws: Workspace, document: Row[Any], last: Row[Any], name: str) -> None:
    """Let the last revision step aside for a new one; ConflictError where it must not."""
    number = f"{document.kind} {document.number} of {document.customer}"
    doubt = (
        tx.execute(
            sa.select(t.task.c.id)
            .join(t.submission, t.task.c.submission_id == t.submission.c.id)
            .where(
                t.submission.c.document_id == document.id,
                t.task.c.kind == tasks.TaskKind.DECIDE,
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
    if last.state not in {S.WITHDRAWN, S.SUPERSEDED}:
        ledger.move(tx, last.id, Happening.SUPERSEDED, at=ws.now(), why=f"replaced by {name}", fence=last.fence)


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
        .values(document_id=document.id, revision_id=revision_id, state=S.DRAFT, since=at)
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
