"""A ledger that looks like a working day, for tests of pages and for people who want to see them."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal

from ledger_rows import HOSTILE, Rows, ago

from hub.contract.invoice import Kind
from hub.contract.status import ReasonCode, Stage, Submission
from hub.store import tables as t
from hub.store.blobs import Blobs
from hub.view import Names

S = Submission
NAMES = Names(
    entities={"north": "Northern Pumps Ltd", "south": "Southern Valves GmbH"},
    customers={
        "acme": "Acme Holding",
        "basin": "Basin & Range Energy Partners of the Upper Permian, Limited Liability Company",
        "cedar": "Cedar Foods",
    },
    accounts={"north-acme": "Northern Pumps at Acme", "south-basin": "Southern Valves at Basin"},
)
SENT = b"<?xml version='1.0'?>\n<cXML payloadID='1@hub'>\n  <Request><InvoiceDetailRequest/></Request>\n</cXML>\n"
REPLY = b"<cXML><Response><Status code='423' text='Invalid'>PO line 20 is not known</Status></Response></cXML>\n"
REASONS = json.dumps([{"text": "PO line 20 is not known", "code": "supplier_line_mismatch", "portal_code": "INV-07"}])


def working_day(rows: Rows, blobs: Blobs) -> dict[str, int]:
    """Invoices in every kind of trouble and in none; the ids of the documents by what they stand for."""
    rows.lane(t.connection, "ariba", polled_at=ago(minutes=9), heard_at=ago(minutes=9))
    rows.lane(
        t.connection,
        "openfield",
        polled_at=ago(minutes=20),
        heard_at=ago(hours=31),
        poll_error=f"the login page has changed {HOSTILE}",
        paused_at=ago(hours=30),
        paused_why="the portal does not accept the password",
    )
    rows.lane(t.connection, "by-hand")
    rows.lane(t.account, "north-acme", heard_at=ago(minutes=9))
    rows.lane(
        t.account,
        "south-basin",
        heard_at=ago(hours=31),
        paused_at=ago(days=2),
        paused_why="no trading relationship yet",
    )
    rows.put(t.instance, id="i", host="h", created_at=ago(days=90), armed=True)
    ids = {"held": _held(rows), "refused": _refused(rows, blobs), "hostile": _hostile(rows), "manual": _manual(rows)}
    ids |= _others(rows)
    rows.event(
        None, "Received by network", "accepted", "intake", number="INV-7777", note="no submission of ours is meant"
    )
    rows.event(None, HOSTILE, "unknown", "stage", number=HOSTILE, note=HOSTILE, connection="openfield")
    rows.task(None, "do", connection="openfield", title="Sign in to openfield", action="Open the portal and sign in.")
    return ids


def _held(rows: Rows) -> int:
    document = rows.invoice(
        S.HELD,
        "INV-20877",
        revision={"order_number": None, "total": Decimal("48200.00"), "payable": Decimal("48200.00")},
        check_no=1,
        since=ago(hours=20),
    )
    submission = rows.of(document)
    rows.move(
        submission,
        None,
        "draft",
        "read: INV-20877.xml",
        at=ago(hours=20, minutes=1),
        evidence=f"source:{document:064x}",
    )
    rows.finding(
        submission,
        "the purchase order is missing",
        fix="enter the order in the ERP and send the invoice again under the same number",
        field="purchase_order_reference",
        place="rules/ariba/acme.yaml:12",
        rule="po_required",
        found_at=ago(hours=20),
    )
    rows.finding(
        submission,
        "line 2 has no order line",
        fix="take the order line from the order confirmation",
        field="lines[1].order_line",
        place="rules/ariba/acme.yaml:31",
        rule="po_line_required",
        found_at=ago(hours=20),
    )
    rows.finding(
        submission,
        "the due date is 90 days away, 60 were agreed",
        severity="warn",
        field="due_date",
        value="2031-05-30",
        place="rules/ariba/default.yaml:8",
        rule="terms",
        found_at=ago(hours=20),
    )
    rows.move(submission, "draft", "held", "the purchase order is missing; line 2 has no order line", at=ago(hours=20))
    return document


def _refused(rows: Rows, blobs: Blobs) -> int:
    sent, reply = blobs.put(SENT), blobs.put(REPLY)
    document = rows.invoice(
        S.REFUSED,
        "INV-20861",
        reason_code=ReasonCode.SUPPLIER_LINE_MISMATCH,
        reason_text="PO line 20 is not known",
        reason_portal_code="INV-07",
        payload_id="1@hub",
        since=ago(hours=5),
        first_attempt_at=ago(hours=6),
        heard_at=ago(hours=5),
        last_raw="Invalid",
    )
    submission = rows.of(document)
    rows.move(submission, None, "draft", "read: INV-20861.xml", at=ago(hours=7), evidence=f"source:{document:064x}")
    rows.move(submission, "draft", "ready", "passed every rule; its document is prepared", at=ago(hours=7))
    rows.move(submission, "ready", "sending", "claimed by worker-1", at=ago(hours=6))
    step = rows.step(submission, sent, done_at=ago(hours=6))
    first = rows.attempt(
        submission,
        step,
        "no",
        outcome="Transient",
        words="503 Service Unavailable",
        body_sha256=sent,
        started_at=ago(hours=6),
        finished_at=ago(hours=6),
    )
    rows.move(submission, "sending", "ready", "503 Service Unavailable", at=ago(hours=6), evidence=f"attempt:{first}")
    second = rows.attempt(
        submission,
        step,
        "yes",
        2,
        outcome="sent",
        words="OK",
        body_sha256=sent,
        reply_sha256=reply,
        started_at=ago(hours=5, minutes=30),
        finished_at=ago(hours=5, minutes=30),
    )
    rows.move(
        submission,
        "sending",
        "sent",
        "the portal took it: OK",
        at=ago(hours=5, minutes=30),
        evidence=f"attempt:{second}",
    )
    event = rows.event(
        submission,
        "Invalid",
        "refused",
        "intake",
        reasons=REASONS,
        observed_at=ago(hours=5),
        note="refused",
        document_sha256=reply,
    )
    rows.move(
        submission,
        "sent",
        "refused",
        "the portal says 'Invalid'",
        at=ago(hours=5),
        actor="portal:ariba",
        evidence=f"event:{event}",
    )
    return document


def _hostile(rows: Rows) -> int:
    document = rows.invoice(
        S.ACCEPTED,
        "<b>INV</b>-666\x1b[2J\u202e",
        document={"customer": "?0a1b2c3d4e5f"},
        revision={"buyer_name": HOSTILE, "order_number": HOSTILE, "source_name": HOSTILE},
        stage=Stage.DISPUTED,
        stage_since=ago(days=2),
        stage_reason_code=ReasonCode.OTHER,
        stage_reason_text=HOSTILE,
        stage_reason_portal_code=HOSTILE,
        portal_id=HOSTILE,
        last_raw=HOSTILE,
        sent_at=ago(days=4),
        since=ago(days=3),
    )
    submission = rows.of(document)
    rows.event(submission, HOSTILE, HOSTILE, note=HOSTILE)
    rows.move(submission, HOSTILE, HOSTILE, HOSTILE, actor=HOSTILE, evidence=HOSTILE)
    rows.finding(submission, HOSTILE, fix=HOSTILE, field=HOSTILE, value=HOSTILE, place=HOSTILE, rule=HOSTILE)
    rows.task(submission, "decide", title=HOSTILE, action=HOSTILE, url="javascript:alert(1)")
    step = rows.step(submission, "0" * 64, name=HOSTILE, media_type=HOSTILE)
    rows.attempt(submission, step, "unknown", words=HOSTILE, outcome=HOSTILE)
    return document


def _manual(rows: Rows) -> int:
    document = rows.invoice(
        S.NEEDS_HUMAN,
        "INV-20790",
        document={"customer": "cedar"},
        revision={
            "buyer_name": "Cedar Foods",
            "currency": "USD",
            "total": Decimal("7310.5000"),
            "payable": Decimal("7310.50"),
        },
        connection="by-hand",
        account=None,
        since=ago(days=1, hours=2),
    )
    rows.task(rows.of(document), "key_in", url="https://portal.example/invoices/new", expires_at=ago(days=-3))
    return document


def _others(rows: Rows) -> dict[str, int]:
    basin = {"entity": "south", "customer": "basin"}
    usd = {"currency": "USD", "buyer_name": "Basin & Range Energy Partners"}
    heard = {"sent_at": ago(days=3), "heard_at": ago(hours=1), "portal_id": "AN-5500123"}
    away = {"connection": "openfield", "account": "south-basin", "document": basin}
    return {
        "draft": rows.invoice(S.DRAFT, "INV-20901", since=ago(seconds=20), account=None, connection=None),
        "ready": rows.invoice(S.READY, "INV-20899", since=ago(minutes=4)),
        "paused": rows.invoice(
            S.READY, "SV-3301", since=ago(days=1), revision=usd | {"total": Decimal("912400.25")}, **away
        ),
        "failed": rows.invoice(
            S.READY,
            "INV-20880",
            since=ago(minutes=12),
            tries=3,
            first_attempt_at=ago(minutes=40),
            reason_code="other",
            reason_text="the portal is in maintenance until 10:00",
        ),
        "sending": rows.invoice(S.SENDING, "INV-20898", since=ago(seconds=8), first_attempt_at=ago(seconds=5)),
        "in_doubt": rows.invoice(
            S.IN_DOUBT,
            "SV-3288",
            since=ago(hours=7),
            first_attempt_at=ago(hours=7),
            revision=usd,
            reason_text="the answer was cut off after 30 s",
            **away,
        ),
        "sent": rows.invoice(S.SENT, "INV-20896", since=ago(minutes=30), sent_at=ago(minutes=30)),
        "accepted": rows.invoice(S.ACCEPTED, "INV-20850", since=ago(days=2), sent_at=ago(days=2), heard_at=ago(days=2)),
        "approved": rows.invoice(
            S.ACCEPTED,
            "INV-20811",
            stage=Stage.APPROVED,
            stage_since=ago(days=1),
            last_raw="Approved for payment",
            **heard,
        ),
        "on_hold": rows.invoice(
            S.ACCEPTED,
            "INV-20815",
            stage=Stage.ON_HOLD,
            stage_since=ago(days=6),
            last_raw="Held: GR missing",
            stage_reason_code=ReasonCode.BUYER_RECEIPT_MISSING,
            stage_reason_text="no goods receipt",
            **heard,
        ),
        "rejected": rows.invoice(
            S.ACCEPTED,
            "INV-20802",
            stage=Stage.REJECTED,
            stage_since=ago(hours=26),
            last_raw="Rejected",
            stage_reason_code=ReasonCode.SUPPLIER_TAX,
            stage_reason_text="tax rate differs from the order",
            **heard,
        ),
        "paid": rows.invoice(
            S.ACCEPTED, "INV-20700", stage=Stage.PAID, stage_since=ago(days=5), last_raw="Paid", **heard
        ),
        "unknown": rows.invoice(
            S.ACCEPTED,
            "INV-20740",
            stage=Stage.UNKNOWN,
            stage_since=ago(days=1),
            last_raw="Ready for EDI-7 sweep",
            **heard,
        ),
        "stale": rows.invoice(
            S.ACCEPTED,
            "SV-3190",
            stage=Stage.IN_REVIEW,
            stage_since=ago(days=9),
            sent_at=ago(days=12),
            last_raw="In approval",
            revision=usd | {"total": Decimal("1203944.10")},
            **away,
        ),
        "rtl": rows.invoice(
            S.ACCEPTED,
            "فاتورة-٤٤",
            document={"customer": "?9f8e7d6c5b4a"},
            stage=Stage.SCHEDULED,
            stage_since=ago(hours=3),
            revision={"buyer_name": "شركة الخليج للطاقة", "currency": "KWD", "total": Decimal("4410.125")},
            **heard,
        ),
        "credit": rows.invoice(
            S.HELD,
            "CN-118",
            document={"kind": Kind.CREDIT},
            check_no=0,
            reason_code="depends_on",
            reason_text="waits for its invoice INV-20877, which is held",
            revision={"total": Decimal("310.00")},
        ),
        "withdrawn": rows.invoice(S.WITHDRAWN, "INV-20650", since=ago(days=15)),
        "long": rows.invoice(
            S.SENT,
            "2031/NORTH-PUMPS/ABERDEEN-TERMINAL-4/000000004711-REV-B",
            since=ago(hours=9),
            sent_at=ago(hours=9),
            connection="openfield",
            revision={"issue_date": dt.date(2031, 2, 1), "total": Decimal("12345678901.99")},
        ),
    }
