"""What an invoice has to do with others: the original of a credit, the revision before a correction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from hub.contract.connector import FoundState, Prior, Refs
from hub.contract.invoice import Invoice, Kind, number_key
from hub.contract.status import Submission
from hub.delivery import attempts
from hub.delivery.binding import was_refused
from hub.requirements.finding import Finding, Severity
from hub.store import tables as t

S = Submission
DELIVERED = (S.SENT, S.ACCEPTED)
Whose = tuple[str, str]  # the entity and the customer of a document
WAITS = "depends_on"  # the finding of a credit that waits; a person may waive it


def state_of(tx: Connection, document_id: int) -> Submission | None:
    """The state of a document's newest submission."""
    state = tx.execute(
        sa.select(t.submission.c.state)
        .where(t.submission.c.document_id == document_id)
        .order_by(t.submission.c.id.desc())
        .limit(1)
    ).scalar_one_or_none()
    return S(state) if state is not None else None


def _originals(tx: Connection, whose: Whose, invoice: Invoice) -> list[tuple[str, Row[Any]]]:
    """The preceding invoices that are ours: their number, and their newest submission."""
    entity, customer = whose
    found = []
    for reference in invoice.preceding:
        query = (
            sa.select(t.submission, t.revision.c.shown_number)
            .join(t.document, t.submission.c.document_id == t.document.c.id)
            .join(t.revision, t.submission.c.revision_id == t.revision.c.id)
            .where(
                t.document.c.entity == entity,
                t.document.c.customer == customer,
                t.document.c.kind == Kind.INVOICE,
                t.document.c.number_key == number_key(reference.number),
            )
            .order_by(t.submission.c.id.desc())
            .limit(1)
        )
        original = tx.execute(query).one_or_none()
        if original is not None:
            found.append((reference.number, original))
    return found


@dataclass(frozen=True)
class Dependency:
    """What a credit or debit waits for."""

    document_id: int | None = None
    findings: tuple[Finding, ...] = ()
    gone: str = ""  # why its invoice will not go, where a person must decide


def depends(tx: Connection, whose: Whose, invoice: Invoice) -> Dependency:
    """A credit or debit goes after its invoice: wait for it, and ask a person where it will not go."""
    if invoice.kind is Kind.INVOICE:
        return Dependency()
    originals = _originals(tx, whose, invoice)
    missing = [(number, original) for number, original in originals if original.state not in DELIVERED]
    gone = [f"its invoice {number} is {one.state}" for number, one in missing if one.state in {S.REFUSED, S.WITHDRAWN}]
    findings = tuple(
        Finding(
            WAITS,
            Severity.BLOCK,
            f"waits for its invoice {number}, which is {original.state}",
            fix="nothing to do here: it goes by itself once the invoice is sent",
            field="preceding",
            value=number,
        )
        for number, original in missing
    )
    awaited = missing or originals
    return Dependency(awaited[0][1].document_id if awaited else None, findings, gone[0] if gone else "")


def related(tx: Connection, whose: Whose, invoice: Invoice) -> dict[str, Refs]:
    """How the portal knows the preceding invoices that it has."""
    return {
        number: Refs(original.payload_id, original.portal_id, original.shown_number, original.portal_customer)
        for number, original in _originals(tx, whose, invoice)
        if original.state in DELIVERED
    }


def prior(tx: Connection, replaces_id: int | None) -> Prior | None:
    """What stands at the portal from the revision that this one replaces, if anything does.

    A draft that was taken back does not count: a person was asked to delete it.
    """
    if replaces_id is None:
        return None
    before = tx.execute(sa.select(t.submission).where(t.submission.c.revision_id == replaces_id)).one()
    receipts = attempts.receipts_of(attempts.steps_of(tx, before.id))
    if before.portal_id is None and not receipts:
        return None
    state = FoundState.SUBMITTED if before.sent_at is not None else FoundState.DRAFT
    if before.state == S.REFUSED or was_refused(tx, before.id):
        state = FoundState.REFUSED
    elif before.state == S.WITHDRAWN and state is FoundState.DRAFT:
        return None
    return Prior(Refs(before.payload_id, before.portal_id, None, before.portal_customer), state, receipts)
