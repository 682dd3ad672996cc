"""Everything that is known of one document, in the order in which it happened, and what each fact rests on."""

from __future__ import annotations

import datetime as dt
import difflib
from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from pydantic import TypeAdapter
from sqlalchemy.engine import Connection

from hub.contract.connector import Enclosure
from hub.contract.errors import Reason
from hub.contract.invoice import Money, number_key
from hub.contract.status import Delivered, Submission
from hub.delivery.ledger import reasons_from_json
from hub.requirements.finding import Finding, Severity
from hub.store import tables as t
from hub.store.blobs import Blobs
from hub.store.database import Database
from hub.view.invoices import STALE_AFTER, InvoiceRow, rows_of
from hub.view.timeline import Moment, timeline

MOST_SHOWN = 256 * 1024  # bytes of a document that are shown as text
_ENCLOSURES = TypeAdapter(tuple[Enclosure, ...])


class UnknownNumberError(LookupError):
    """No document has this number; the message names near ones."""


@dataclass(frozen=True)
class Revision:
    """One content of the document, and how far it came."""

    seq: int
    submission_id: int
    state: Submission
    since: dt.datetime
    source: str
    source_name: str
    source_sha256: str
    created_at: dt.datetime
    created_by: str
    shown_number: str  # what the portal shows
    issue_date: dt.date
    due_date: dt.date | None
    order_number: str | None
    total: Money
    payable: Money
    portal_reference: str | None
    payload_id: str | None


@dataclass(frozen=True)
class Attempt:
    """One try at sending one step."""

    id: int
    revision: int
    number: int
    step: str
    started_at: dt.datetime
    finished_at: dt.datetime | None
    delivered: Delivered | None  # None: no end was written, so it may have arrived
    outcome: str | None
    words: str
    reasons: tuple[Reason, ...]
    body_sha256: str
    reply_sha256: str | None
    late: bool


@dataclass(frozen=True)
class SentFile:
    """A document that was prepared for the portal, and whether the portal has it."""

    revision: int
    name: str
    media_type: str
    sha256: str
    size: int | None  # bytes; None: the archive no longer has it
    fate: str


@dataclass(frozen=True)
class Task:
    """What a person was asked, and what they said."""

    id: int
    title: str
    action: str
    url: str | None
    created_at: dt.datetime
    expires_at: dt.datetime | None
    answered_at: dt.datetime | None
    answered_by: str | None
    answer: str | None


@dataclass(frozen=True)
class Explanation:
    """One document: how it stands, what to do, and its whole story."""

    row: InvoiceRow
    revisions: tuple[Revision, ...]  # the oldest first
    findings: tuple[Finding, ...]  # of the current revision's last check
    attempts: tuple[Attempt, ...]
    files: tuple[SentFile, ...]
    tasks: tuple[Task, ...]
    timeline: tuple[Moment, ...]  # the oldest first


@dataclass(frozen=True)
class ArchivedDocument:
    """The exact bytes under a hash; `text` is None for what is no UTF-8 text or too long to be shown."""

    sha256: str
    content: bytes
    text: str | None


def explain(
    db: Database, blobs: Blobs, number: str, *, now: dt.datetime, stale_after: dt.timedelta = STALE_AFTER
) -> tuple[Explanation, ...]:
    """Every document with this number: ours (trimmed, case-folded), the one its portal shows, or a portal's reference.

    Raises UnknownNumberError, which names near numbers.
    """
    with db.reading() as tx:
        found = _with_number(tx, number)
        if not found:
            raise UnknownNumberError(_nothing_near(tx, number))
        return tuple(_explain(tx, blobs, row) for row in rows_of(tx, found, now=now, stale_after=stale_after))


def explain_document(
    db: Database, blobs: Blobs, document_id: int, *, now: dt.datetime, stale_after: dt.timedelta = STALE_AFTER
) -> Explanation:
    """The document with this id of the ledger; raises LookupError."""
    with db.reading() as tx:
        rows = rows_of(tx, [document_id], now=now, stale_after=stale_after)
        if not rows:
            raise LookupError(f"the ledger has no document {document_id}")
        return _explain(tx, blobs, rows[0])


def document(blobs: Blobs, sha256: str) -> ArchivedDocument:
    """The exact document of this hash; raises FileNotFoundError if it is gone, ValueError if it is damaged."""
    content = blobs.read(sha256)
    text = None
    if len(content) <= MOST_SHOWN and b"\0" not in content:
        try:
            text = content.decode()
        except UnicodeDecodeError:
            text = None
    return ArchivedDocument(sha256, content, text)


def is_known(db: Database, sha256: str) -> bool:
    """Whether the ledger refers to a document with this hash."""
    referring = (
        t.evidence.c.sha256,
        t.revision.c.source_sha256,
        t.step.c.body_sha256,
        t.attempt.c.reply_sha256,
        t.event.c.document_sha256,
    )
    attached = sa.exists().where(t.step.c.enclosures.contains(f'"{sha256}"', autoescape=True))
    query = sa.select(sa.or_(*(sa.exists().where(column == sha256) for column in referring), attached))
    with db.reading() as tx:
        return bool(tx.execute(query).scalar_one())


def _with_number(tx: Connection, number: str) -> list[int]:
    d, s, r = t.document.c, t.submission.c, t.revision.c
    typed = number.strip()
    if not typed:
        return []
    query = sa.union(
        sa.select(d.id).where(d.number_key == number_key(typed)),
        sa.select(s.document_id).where(s.portal_id == typed),
        sa.select(s.document_id).where(s.payload_id == typed),
        sa.select(r.document_id).where(r.shown_number == typed),
    )
    return list(tx.execute(query).scalars())


def _nothing_near(tx: Connection, number: str) -> str:
    """An error's words, with the numbers that are most like this one."""
    d = t.document.c
    key = number_key(number)
    within = sa.select(d.number, d.number_key).where(d.number_key.contains(key, autoescape=True)).limit(5)
    newest = sa.select(d.number, d.number_key).order_by(d.id.desc()).limit(2_000)
    numbers = {row.number_key: row.number for row in tx.execute(newest)} if key else {}
    near = {row.number_key: row.number for row in tx.execute(within)} if key else {}
    for close in difflib.get_close_matches(key, numbers, n=5, cutoff=0.7):
        near[close] = numbers[close]
    like = f"; near ones are {', '.join(list(near.values())[:5])}" if near else ""
    return f"no invoice has the number {number[:80]!r}{like}"


def _explain(tx: Connection, blobs: Blobs, row: InvoiceRow) -> Explanation:
    revisions = _revisions(tx, row.document_id)
    seqs = {revision.submission_id: revision.seq for revision in revisions}
    attempts = _attempts(tx, seqs)
    return Explanation(
        row=row,
        revisions=revisions,
        findings=_findings(tx, row.submission_id),
        attempts=attempts,
        files=_files(tx, blobs, seqs),
        tasks=_tasks(tx, list(seqs)),
        timeline=timeline(tx, seqs),
    )


def _revisions(tx: Connection, document_id: int) -> tuple[Revision, ...]:
    s, r = t.submission.c, t.revision.c
    query = (
        sa.select(
            t.revision, s.id.label("submission_id"), s.state, s.since, s.portal_id, s.payload_id.label("payload_id")
        )
        .join(t.submission, s.revision_id == r.id)
        .where(r.document_id == document_id)
        .order_by(r.seq)
    )
    return tuple(
        Revision(
            seq=row.seq,
            submission_id=row.submission_id,
            state=Submission(row.state),
            since=row.since,
            source=row.source,
            source_name=row.source_name,
            source_sha256=row.source_sha256,
            created_at=row.created_at,
            created_by=row.created_by,
            shown_number=row.shown_number,
            issue_date=row.issue_date,
            due_date=row.due_date,
            order_number=row.order_number,
            total=Money(row.total, row.currency),
            payable=Money(row.payable, row.currency),
            portal_reference=row.portal_id,
            payload_id=row.payload_id,
        )
        for row in tx.execute(query)
    )


def _findings(tx: Connection, submission_id: int) -> tuple[Finding, ...]:
    f = t.finding.c
    query = (
        sa.select(f.rule, f.severity, f.message, f.fix, f.field, f.value, f.place)
        .join(t.submission, sa.and_(f.submission_id == t.submission.c.id, f.check_no == t.submission.c.check_no))
        .where(t.submission.c.id == submission_id)
        .order_by(f.id)
    )
    return tuple(
        Finding(row.rule, Severity(row.severity), row.message, row.fix, row.field, row.value, row.place)
        for row in tx.execute(query)
    )


def _attempts(tx: Connection, seqs: dict[int, int]) -> tuple[Attempt, ...]:
    a = t.attempt.c
    query = (
        sa.select(t.attempt, t.step.c.name.label("step"))
        .join(t.step, a.step_id == t.step.c.id)
        .where(a.submission_id.in_(seqs))
        .order_by(a.id)
    )
    return tuple(
        Attempt(
            id=row.id,
            revision=seqs[row.submission_id],
            number=row.number,
            step=row.step,
            started_at=row.started_at,
            finished_at=row.finished_at,
            delivered=Delivered(row.delivered) if row.delivered else None,
            outcome=row.outcome,
            words=row.words or "",
            reasons=reasons_from_json(row.reasons),
            body_sha256=row.body_sha256,
            reply_sha256=row.reply_sha256,
            late=row.late,
        )
        for row in tx.execute(query)
    )


def _files(tx: Connection, blobs: Blobs, seqs: dict[int, int]) -> tuple[SentFile, ...]:
    a, p, s = t.attempt.c, t.step.c, t.submission.c
    tried: dict[int, set[str]] = {}
    for row in tx.execute(sa.select(a.step_id, a.delivered).where(a.submission_id.in_(seqs))):
        tried.setdefault(row.step_id, set()).add(row.delivered or Delivered.UNKNOWN)
    query = sa.select(t.step, s.sent_at).join(t.submission, p.submission_id == s.id).where(s.id.in_(seqs))
    files = []
    for step in tx.execute(query.order_by(s.id, p.position)):
        fate = _fate(tried.get(step.id, set()), done=step.done_at is not None, there=step.sent_at is not None)
        parts = [(step.name, step.media_type, step.body_sha256)]
        parts += [(part.name, part.media_type, part.sha256) for part in _ENCLOSURES.validate_json(step.enclosures)]
        files += [
            SentFile(seqs[step.submission_id], name, media_type, sha256, _size(blobs, sha256), fate)
            for name, media_type, sha256 in parts
        ]
    return tuple(files)


def _fate(tried: set[str], *, done: bool, there: bool) -> str:
    """What became of a step; `there`: it was found out that the portal has the document."""
    if done or Delivered.YES in tried:
        return "delivered"
    if Delivered.UNKNOWN in tried:
        return "may have arrived; the document was found at the portal" if there else "may have arrived"
    return "tried, not delivered by the hub" if tried else "prepared, never sent"


def _size(blobs: Blobs, sha256: str) -> int | None:
    try:
        return blobs.path(sha256).stat().st_size
    except (FileNotFoundError, ValueError):
        return None


def _tasks(tx: Connection, submission_ids: Sequence[int]) -> tuple[Task, ...]:
    k = t.task.c
    names = ("id", "title", "action", "url", "created_at", "expires_at", "answered_at", "answered_by", "answer")
    query = sa.select(*(k[name] for name in names)).where(k.submission_id.in_(submission_ids)).order_by(k.id)
    return tuple(Task(**row._mapping) for row in tx.execute(query))  # noqa: SLF001 - SQLAlchemy's public name
