"""A ledger with rows of our own making: every state and stage, hostile words, and as many rows as wanted."""

from __future__ import annotations

import datetime as dt
import itertools
from decimal import Decimal
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from hub.contract.invoice import Kind, number_key
from hub.contract.status import Stage, Submission
from hub.delivery import ledger
from hub.store import tables as t
from hub.store.database import Database

NOW = dt.datetime(2031, 3, 14, 9, 30, tzinfo=dt.UTC)
HOSTILE = '<script>alert("x")</script><img src=x onerror=alert(1)> \x1b[31mred\x1b[0m \u202egnirts [bold]markup[/bold]'


def ago(**past: float) -> dt.datetime:
    """So long before NOW."""
    return NOW - dt.timedelta(**past)


def new_ledger(folder: Path) -> Database:
    """An empty ledger."""
    db = Database(f"sqlite:///{folder / 'hub.db'}")
    t.metadata.create_all(db.engine)
    return db


class Rows:
    """Plain inserts in one transaction; every value that is not given is invented."""

    def __init__(self, tx: Connection) -> None:
        self.tx = tx
        self._counter = itertools.count(1)

    def put(self, table: sa.Table, **values: Any) -> int:
        """One row; its id."""
        return self.tx.execute(table.insert().values(**values).returning(table.c.id)).scalar_one()

    def lane(self, table: sa.Table, key: str, **values: Any) -> None:
        """A connection or an account."""
        self.tx.execute(table.insert().values(key=key, **values))

    def document(self, number: str | None = None, **values: Any) -> int:
        """A document without a revision; its id."""
        number = number or f"INV-{next(self._counter):05}"
        row = {"entity": "north", "customer": "acme", "kind": Kind.INVOICE, "created_at": ago(days=9)} | values
        return self.put(t.document, number=number, number_key=number_key(number), **row)

    def submission(
        self,
        document_id: int,
        state: Submission = Submission.SENT,
        *,
        revision: dict[str, Any] | None = None,
        **values: Any,
    ) -> int:
        """The next revision of a document with its submission; the submission's id."""
        r = t.revision.c
        before = self.tx.execute(
            sa.select(r.id, r.seq).where(r.document_id == document_id).order_by(r.seq.desc())
        ).first()
        number = self.tx.execute(sa.select(t.document.c.number).where(t.document.c.id == document_id)).scalar_one()
        content = {
            "content_sha256": f"{document_id:064x}",
            "invoice": "{}",
            "source": "ubl",
            "source_name": f"{number}.xml",
            "source_sha256": f"{document_id:064x}",
            "created_at": ago(days=9),
            "created_by": "hub",
            "shown_number": number,
            "issue_date": dt.date(2031, 3, 1),
            "due_date": dt.date(2031, 3, 31),
            "order_number": f"PO-{document_id}",
            "seller_name": "Northern Pumps",
            "buyer_name": "Acme Holding",
            "currency": "EUR",
            "total": Decimal("1210.00"),
            "payable": Decimal("1210.00"),
        } | (revision or {})
        revision_id = self.put(
            t.revision,
            document_id=document_id,
            seq=before.seq + 1 if before else 1,
            replaces_id=before.id if before else None,
            **content,
        )
        row = {"account": "north-acme", "connection": "ariba", "since": ago(hours=3)} | values
        return self.put(t.submission, document_id=document_id, revision_id=revision_id, state=state, **row)

    def invoice(self, state: Submission = Submission.SENT, number: str | None = None, **values: Any) -> int:
        """A document with one revision; the document's id. `document` and `revision` are dicts of their columns."""
        document_id = self.document(number, **values.pop("document", {}))
        self.submission(document_id, state, **values)
        return document_id

    def of(self, document_id: int) -> int:
        """The newest submission of a document."""
        s = t.submission.c
        return self.tx.execute(sa.select(sa.func.max(s.id)).where(s.document_id == document_id)).scalar_one()

    def finding(
        self, submission_id: int, message: str, *, severity: str = "block", rule: str = "po_required", **more: Any
    ) -> None:
        """A finding of the check that stands."""
        s = t.submission.c
        check_no = self.tx.execute(sa.select(s.check_no).where(s.id == submission_id)).scalar_one()
        row = {"fix": "", "field": "", "value": "", "place": "", "found_at": ago(hours=4)} | more
        self.put(
            t.finding,
            submission_id=submission_id,
            check_no=check_no,
            rule=rule,
            severity=severity,
            message=message,
            **row,
        )

    def step(self, submission_id: int, body_sha256: str, **more: Any) -> int:
        """A prepared step; its id."""
        row = {
            "position": 0,
            "name": "submit",
            "key": "k",
            "repeat": "refuses",
            "leaves": "submitted",
            "media_type": "text/xml",
            "enclosures": "[]",
        } | more
        return self.put(t.step, submission_id=submission_id, body_sha256=body_sha256, **row)

    def attempt(self, submission_id: int, step_id: int, delivered: str | None, number: int = 1, **more: Any) -> int:
        """One try; its id."""
        row = {"fence": number, "body_sha256": "0" * 64, "started_at": ago(hours=3), "finished_at": ago(hours=3)} | more
        return self.put(
            t.attempt, submission_id=submission_id, step_id=step_id, number=number, delivered=delivered, **row
        )

    def event(self, submission_id: int | None, raw: str, word: str, concerns: str = "stage", **more: Any) -> int:
        """What a portal said; its id."""
        row = {
            "connection": "ariba",
            "event_id": f"e{next(self._counter)}",
            "reasons": "[]",
            "observed_at": ago(hours=2),
            "stored_at": ago(hours=2),
            "applied": True,
            "note": "",
        } | more
        return self.put(t.event, submission_id=submission_id, raw=raw, word=word, concerns=concerns, **row)

    def task(self, submission_id: int | None, kind: str, **more: Any) -> int:
        """What a person is asked; its id."""
        row = {
            "scope": "invoice" if submission_id else "connection",
            "subject": f"{submission_id}:{kind}:{next(self._counter)}",
            "title": "Key this invoice in",
            "action": "Open the portal.\nKey the invoice in.\nEnter its confirmation here.",
            "created_at": ago(hours=2),
        } | more
        return self.put(t.task, submission_id=submission_id, kind=kind, **row)

    def move(self, submission_id: int | None, before: str | None, after: str | None, why: str, **more: Any) -> None:
        """A transition."""
        subject = more.pop("subject", "submission")
        row = {"at": ago(hours=3), "actor": ledger.HUB} | more
        ledger.note(self.tx, subject, before=before, after=after, why=why, submission_id=submission_id, **row)


def lanes(rows: Rows) -> None:
    """One connection and one account, which were heard ten minutes ago."""
    rows.lane(t.connection, "ariba", polled_at=ago(minutes=10), heard_at=ago(minutes=10))
    rows.lane(t.account, "north-acme", polled_at=ago(minutes=10), heard_at=ago(minutes=10))


def every_state_and_stage(rows: Rows) -> dict[tuple[Submission, Stage | None], int]:
    """One document for each pair; their ids."""
    return {
        (state, stage): rows.invoice(
            state, stage=stage, stage_since=ago(hours=1) if stage else None, sent_at=ago(hours=3)
        )
        for state in Submission
        for stage in (None, *Stage)
    }


def many(db: Database, count: int) -> None:
    """So many documents with one submission each, in as few statements as it takes."""
    states = [Submission.ACCEPTED] * 16 + [Submission.SENT, Submission.HELD, Submission.REFUSED, Submission.READY]
    documents = [
        {
            "id": n,
            "entity": "north" if n % 3 else "south",
            "customer": f"customer-{n % 40}",
            "kind": Kind.INVOICE,
            "number": f"M-{n:07}",
            "number_key": f"m-{n:07}",
            "created_at": ago(days=30),
        }
        for n in range(1, count + 1)
    ]
    revisions = [
        {
            "id": n,
            "document_id": n,
            "seq": 1,
            "content_sha256": "c",
            "invoice": "{}",
            "source": "ubl",
            "source_name": "m.xml",
            "source_sha256": "s",
            "created_at": ago(days=30),
            "created_by": "hub",
            "shown_number": f"M-{n:07}",
            "issue_date": dt.date(2031, 3, 1),
            "currency": "EUR" if n % 2 else "USD",
            "total": Decimal(n),
            "payable": Decimal(n),
        }
        for n in range(1, count + 1)
    ]
    submissions = [
        {
            "id": n,
            "document_id": n,
            "revision_id": n,
            "account": "north-acme",
            "connection": "ariba",
            "state": states[n % len(states)],
            "since": ago(days=3),
            "stage": Stage.APPROVED if n % 20 < 16 else None,
        }
        for n in range(1, count + 1)
    ]
    with db.writing("test") as tx:
        for table, values in ((t.document, documents), (t.revision, revisions), (t.submission, submissions)):
            tx.execute(table.insert(), values)
