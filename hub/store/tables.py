"""The tables of the ledger. Core tables, the same on SQLite and PostgreSQL; `migrations/` makes them.

A *document* is an identity (entity, customer, kind, number). A *revision* is one content of it. A *submission* is one
revision on its way through one account; at most one submission of a document is live, which `one_live_submission`
holds. A *step* is one exact thing to send, an *attempt* one try at it. Every change of a state is a *transition*.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from hub.contract.status import NOT_LIVE
from hub.store.types import Amount, Utc

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _id() -> Column[int]:
    return Column("id", Integer, primary_key=True, autoincrement=True)


def _to(table: str, *, nullable: bool = False, name: str | None = None) -> Column[int]:
    return Column(name or f"{table}_id", Integer, ForeignKey(f"{table}.id"), nullable=nullable)


_LIVE = text("state NOT IN ({})".format(", ".join(f"'{state}'" for state in sorted(NOT_LIVE))))

_UNMATCHED = text("submission_id IS NULL")

instance = Table(
    "instance",  # one row: whose database this is (architecture, decision 6)
    metadata,
    Column("id", Text, primary_key=True),
    Column("host", Text, nullable=False),
    Column("created_at", Utc, nullable=False),
    Column("armed", Boolean, nullable=False),
    Column("armed_at", Utc),
    Column("armed_by", Text),
    Column("disarmed_why", Text),
    Column("place", Text),  # where it was armed; a copy finds itself elsewhere (hub/delivery/arming.py)
)

connection = Table(
    "connection",  # what we know of each connection of hub.yaml
    metadata,
    Column("key", Text, primary_key=True),
    Column("paused_at", Utc),
    Column("paused_why", Text),
    Column("cursor", Text),
    Column("polled_at", Utc),  # the last poll, however it ended
    Column("heard_at", Utc),  # the last poll that ended well, of whomever; see account.heard_at
    Column("poll_error", Text),
    Column("mark", BigInteger, nullable=False, server_default="0"),  # attempts ever begun
    Column("failures", Integer, nullable=False, server_default="0"),  # in a row; see delivery/breaker.py
    Column("retry_at", Utc),  # until then nothing is sent, for too much has failed
    Column("failing_why", Text),
)

account = Table(
    "account",
    metadata,
    Column("key", Text, primary_key=True),
    Column("paused_at", Utc),
    Column("paused_why", Text),
    Column("polled_at", Utc),  # the last poll that covered it, however it ended
    Column("heard_at", Utc),  # the last poll that covered it and ended well: its statuses are as of then
    Column("failures", Integer, nullable=False, server_default="0"),
    Column("retry_at", Utc),
    Column("failing_why", Text),
)

document = Table(
    "document",
    metadata,
    _id(),
    Column("entity", Text, nullable=False),
    Column("customer", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("number", Text, nullable=False),  # as first read
    Column("number_key", Text, nullable=False),  # trimmed, case-folded
    Column("created_at", Utc, nullable=False),
    UniqueConstraint("entity", "customer", "kind", "number_key"),
    Index(None, "number_key"),
)

revision = Table(
    "revision",
    metadata,
    _id(),
    _to("document"),
    Column("seq", Integer, nullable=False),  # 1, 2, 3 … within the document
    _to("revision", nullable=True, name="replaces_id"),
    Column("content_sha256", Text, nullable=False),  # of the canonical invoice
    Column("invoice", Text, nullable=False),  # the canonical invoice, JSON
    Column("source", Text, nullable=False),  # ubl, cii, pdf, json
    Column("source_name", Text, nullable=False),
    Column("source_sha256", Text, nullable=False),
    Column("created_at", Utc, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("shown_number", Text, nullable=False),  # what the portal shows; differs where portal_number is set
    Column("issue_date", Date, nullable=False),
    Column("due_date", Date),
    Column("order_number", Text),
    Column("seller_name", Text),
    Column("buyer_name", Text),
    Column("currency", Text, nullable=False),
    Column("total", Amount, nullable=False),  # with tax, BT-112
    Column("payable", Amount, nullable=False),  # BT-115
    UniqueConstraint("document_id", "seq"),
    Index(None, "shown_number"),
    Index(None, "source_sha256"),
)

submission = Table(
    "submission",
    metadata,
    _id(),
    _to("document"),
    _to("revision"),
    Column("account", Text),  # frozen at the first attempt: from then on nothing is checked anew
    Column("connection", Text),
    # Ours: written by hub.delivery.ledger.move alone.
    Column("state", Text, nullable=False),
    Column("since", Utc, nullable=False),
    Column("reason_code", Text),
    Column("reason_text", Text),
    Column("reason_portal_code", Text),
    # Who works on it, and when it is next due.
    Column("due_at", Utc),
    Column("lease_owner", Text),
    Column("lease_until", Utc),
    Column("fence", Integer, nullable=False, server_default="0"),
    # What goes out, frozen when it became ready.
    Column("check_no", Integer, nullable=False, server_default="0"),
    Column("requirements_version", Text),
    Column("rules_version", Text),
    Column("mapping_version", Text),
    Column("connector_version", Text),
    Column("stamp", Text),  # JSON of contract.Stamp, made once
    Column("mapped", Text),  # JSON of the mapped fields
    Column("portal_customer", Text),
    Column("waived", Text),  # JSON: the ids of rules that a person waived for this one
    Column("depends_on_id", Integer, ForeignKey("document.id")),
    Column("send_by", Date),
    # What became of it.
    Column("tries", Integer, nullable=False, server_default="0"),  # since it was last made ready by a person or a check
    Column("resends", Integer, nullable=False, server_default="0"),  # after an absence was found
    Column("looks", Integer, nullable=False, server_default="0"),  # that told nothing, since the last that did
    Column("duplicate_at", Utc),  # when the portal said duplicate
    Column("first_attempt_at", Utc),
    Column("last_attempt_at", Utc),
    Column("sent_at", Utc),
    Column("payload_id", Text),
    Column("portal_id", Text),
    # The buyer's: written by hub.delivery.collect alone.
    Column("stage", Text),
    Column("stage_since", Utc),
    Column("stage_happened_at", Utc),
    Column("stage_reason_code", Text),
    Column("stage_reason_text", Text),
    Column("stage_reason_portal_code", Text),
    Column("last_raw", Text),  # the portal's last word, whatever it concerned
    Column("intake_at", Utc),  # the last intake word
    Column("heard_at", Utc),  # the last event of this submission was observed then
    Column("looked_at", Utc),  # when the portal was last asked what it has under this number
    UniqueConstraint("revision_id"),
    Index("one_live_submission", "document_id", unique=True, sqlite_where=_LIVE, postgresql_where=_LIVE),
    Index(None, "connection", "state", "due_at"),
    Index(None, "state", "due_at"),
    Index(None, "document_id"),
    Index(None, "payload_id"),
    Index(None, "portal_id"),
)

step = Table(
    "step",
    metadata,
    _id(),
    _to("submission"),
    Column("position", Integer, nullable=False),
    Column("name", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("repeat", Text, nullable=False),
    Column("leaves", Text, nullable=False),
    Column("media_type", Text, nullable=False),
    Column("boundary", Text),
    Column("body_sha256", Text, nullable=False),
    Column("enclosures", Text, nullable=False),  # JSON
    Column("receipt", Text),  # JSON of contract.Receipt, once it worked
    Column("done_at", Utc),
    UniqueConstraint("submission_id", "position"),
    Index(None, "body_sha256"),
)

attempt = Table(
    "attempt",
    metadata,
    _id(),
    _to("submission"),
    _to("step"),
    Column("number", Integer, nullable=False),  # 1, 2, 3 … within the submission
    Column("fence", Integer, nullable=False),
    Column("body_sha256", Text, nullable=False),
    Column("rules_version", Text),
    Column("mapping_version", Text),
    Column("connector_version", Text),
    Column("started_at", Utc, nullable=False),
    Column("finished_at", Utc),
    Column("delivered", Text),  # no, unknown, yes; NULL while it runs, which counts as unknown
    Column("outcome", Text),  # sent, or the error's kind
    Column("words", Text),  # the portal's or the error's
    Column("reasons", Text),  # JSON
    Column("reply_sha256", Text),
    Column("late", Boolean, nullable=False, server_default=text("false")),  # came after the fence had moved on
    UniqueConstraint("submission_id", "number"),
    Index(None, "step_id"),
    Index(None, "reply_sha256"),
)

transition = Table(
    "transition",
    metadata,
    _id(),
    _to("submission", nullable=True),
    Column("subject", Text, nullable=False),  # submission, stage, connection:KEY, account:KEY, instance
    Column("before", Text),
    Column("after", Text),
    Column("at", Utc, nullable=False),
    Column("actor", Text, nullable=False),  # hub, portal:CONNECTION, person:NAME
    Column("why", Text, nullable=False),
    Column("evidence", Text),  # attempt:ID, event:ID, task:ID, lookup:SHA256 …
    Index(None, "submission_id"),
)

finding = Table(
    "finding",
    metadata,
    _id(),
    _to("submission"),
    Column("check_no", Integer, nullable=False),
    Column("found_at", Utc, nullable=False),
    Column("rule", Text, nullable=False),
    Column("severity", Text, nullable=False),
    Column("message", Text, nullable=False),
    Column("fix", Text, nullable=False),
    Column("field", Text, nullable=False),
    Column("value", Text, nullable=False),
    Column("place", Text, nullable=False),
    Index(None, "submission_id", "check_no"),
)

event = Table(
    "event",
    metadata,
    _id(),
    Column("connection", Text, nullable=False),
    Column("event_id", Text, nullable=False),
    _to("submission", nullable=True),  # NULL: unmatched, shown as such
    Column("concerns", Text, nullable=False),
    Column("word", Text, nullable=False),
    Column("raw", Text, nullable=False),
    Column("number", Text),
    Column("payload_id", Text),
    Column("portal_id", Text),
    Column("portal_customer", Text),
    Column("reasons", Text, nullable=False),  # JSON
    Column("happened_at", Utc),
    Column("observed_at", Utc, nullable=False),
    Column("stored_at", Utc, nullable=False),
    Column("document_sha256", Text),
    Column("applied", Boolean, nullable=False),
    Column("note", Text, nullable=False),  # what it did, or why it did nothing
    UniqueConstraint("connection", "event_id"),
    Index(None, "submission_id"),
    Index(None, "document_sha256"),
    Index("unmatched_events", "connection", "portal_id", sqlite_where=_UNMATCHED, postgresql_where=_UNMATCHED),
)

gate = Table(
    "gate",  # how many requests a connection has ever made; on SQLite in a file of its own
    metadata,
    Column("connection", Text, primary_key=True),
    Column("seq", BigInteger, nullable=False, server_default="0"),
    Column("wanted_until", Double, nullable=False, server_default="0"),  # so long may a submit be waiting
)

gate_pass = Table(
    "gate_pass",  # when each of the latest requests went, in seconds since 1970 by the database's clock
    metadata,
    Column("connection", Text, primary_key=True),
    Column("seq", BigInteger, primary_key=True),
    Column("at", Double, nullable=False),
)

task = Table(
    "task",
    metadata,
    _id(),
    Column("kind", Text, nullable=False),
    Column("scope", Text, nullable=False),  # invoice, account, connection
    _to("submission", nullable=True),
    Column("step", Text, nullable=False, server_default=""),
    Column("connection", Text),
    Column("account", Text),
    Column("subject", Text, nullable=False),  # what it is about; one open task each
    Column("title", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("url", Text),
    Column("expires_at", Utc),
    Column("created_at", Utc, nullable=False),
    Column("answered_at", Utc),
    Column("answered_by", Text),
    Column("answer", Text),
    Index(
        "one_open_task",
        "subject",
        unique=True,
        sqlite_where=text("answered_at IS NULL"),
        postgresql_where=text("answered_at IS NULL"),
    ),
    Index(None, "submission_id"),
)

intake = Table(
    "intake",  # every file that a source handled, and what became of it
    metadata,
    _id(),
    Column("source", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("outcome", Text, nullable=False),  # received, repeated, refused
    Column("reason", Text),
    _to("revision", nullable=True),
    Column("at", Utc, nullable=False),
    Index(None, "sha256"),
)

evidence = Table(
    "evidence",  # a hash chain over salted hashes: what must be erased loses hash and salt, and the chain still holds
    metadata,
    _id(),
    Column("at", Utc, nullable=False),
    Column("kind", Text, nullable=False),  # source, sent, reply, lookup, status, answer
    _to("submission", nullable=True),
    _to("attempt", nullable=True),
    Column("sha256", Text),
    Column("salt", Text),
    Column("salted", Text, nullable=False),
    Column("link", Text, nullable=False),
    Index(None, "submission_id"),
    Index(None, "sha256"),
    Index(None, "attempt_id"),
)
