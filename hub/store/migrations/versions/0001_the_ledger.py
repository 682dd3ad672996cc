"""The ledger."""

import sqlalchemy as sa
from alembic import op

from hub.store import types

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """The ledger."""
    op.create_table(
        "account",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("paused_at", types.Utc(timezone=True), nullable=True),
        sa.Column("paused_why", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_account")),
    )
    op.create_table(
        "connection",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("paused_at", types.Utc(timezone=True), nullable=True),
        sa.Column("paused_why", sa.Text(), nullable=True),
        sa.Column("cursor", sa.Text(), nullable=True),
        sa.Column("polled_at", types.Utc(timezone=True), nullable=True),
        sa.Column("heard_at", types.Utc(timezone=True), nullable=True),
        sa.Column("poll_error", sa.Text(), nullable=True),
        sa.Column("mark", sa.BigInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_connection")),
    )
    op.create_table(
        "document",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("entity", sa.Text(), nullable=False),
        sa.Column("customer", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("number_key", sa.Text(), nullable=False),
        sa.Column("created_at", types.Utc(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_document")),
        sa.UniqueConstraint(
            "entity", "customer", "kind", "number_key", name=op.f("uq_document_entity_customer_kind_number_key")
        ),
    )
    op.create_index(op.f("ix_document_number_key"), "document", ["number_key"], unique=False)
    op.create_table(
        "instance",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("created_at", types.Utc(timezone=True), nullable=False),
        sa.Column("armed", sa.Boolean(), nullable=False),
        sa.Column("armed_at", types.Utc(timezone=True), nullable=True),
        sa.Column("armed_by", sa.Text(), nullable=True),
        sa.Column("disarmed_why", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_instance")),
    )
    op.create_table(
        "revision",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("document_id", sa.Integer(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("replaces_id", sa.Integer(), nullable=True),
        sa.Column("content_sha256", sa.Text(), nullable=False),
        sa.Column("invoice", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("source_name", sa.Text(), nullable=False),
        sa.Column("source_sha256", sa.Text(), nullable=False),
        sa.Column("created_at", types.Utc(timezone=True), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("shown_number", sa.Text(), nullable=False),
        sa.Column("issue_date", sa.Date(), nullable=False),
        sa.Column("due_date", sa.Date(), nullable=True),
        sa.Column("order_number", sa.Text(), nullable=True),
        sa.Column("seller_name", sa.Text(), nullable=True),
        sa.Column("buyer_name", sa.Text(), nullable=True),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("total", types.Amount(), nullable=False),
        sa.Column("payable", types.Amount(), nullable=False),
        sa.ForeignKeyConstraint(["document_id"], ["document.id"], name=op.f("fk_revision_document_id")),
        sa.ForeignKeyConstraint(["replaces_id"], ["revision.id"], name=op.f("fk_revision_replaces_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_revision")),
        sa.UniqueConstraint("document_id", "seq", name=op.f("uq_revision_document_id_seq")),
    )
    op.create_index(op.f("ix_revision_shown_number"), "revision", ["shown_number"], unique=False)
    op.create_index(op.f("ix_revision_source_sha256"), "revision", ["source_sha256"], unique=False)
    op.create_table(
        "intake",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("revision_id", sa.Integer(), nullable=True),
        sa.Column("at", types.Utc(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["revision_id"], ["revision.id"], name=op.f("fk_intake_revision_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_intake")),
    )
    op.create_index(op.f("ix_intake_sha256"), "intake", ["sha256"], unique=False)
    op.create_table(
        "submission",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("document_id", sa.Integer(), nullable=False),
        sa.Column("revision_id", sa.Integer(), nullable=False),
        sa.Column("account", sa.Text(), nullable=True),
        sa.Column("connection", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("since", types.Utc(timezone=True), nullable=False),
        sa.Column("reason_code", sa.Text(), nullable=True),
        sa.Column("reason_text", sa.Text(), nullable=True),
        sa.Column("reason_portal_code", sa.Text(), nullable=True),
        sa.Column("due_at", types.Utc(timezone=True), nullable=True),
        sa.Column("lease_owner", sa.Text(), nullable=True),
        sa.Column("lease_until", types.Utc(timezone=True), nullable=True),
        sa.Column("fence", sa.Integer(), server_default="0", nullable=False),
        sa.Column("check_no", sa.Integer(), server_default="0", nullable=False),
        sa.Column("requirements_version", sa.Text(), nullable=True),
        sa.Column("rules_version", sa.Text(), nullable=True),
        sa.Column("mapping_version", sa.Text(), nullable=True),
        sa.Column("connector_version", sa.Text(), nullable=True),
        sa.Column("stamp", sa.Text(), nullable=True),
        sa.Column("mapped", sa.Text(), nullable=True),
        sa.Column("portal_customer", sa.Text(), nullable=True),
        sa.Column("waived", sa.Text(), nullable=True),
        sa.Column("depends_on_id", sa.Integer(), nullable=True),
        sa.Column("send_by", sa.Date(), nullable=True),
        sa.Column("tries", sa.Integer(), server_default="0", nullable=False),
        sa.Column("resends", sa.Integer(), server_default="0", nullable=False),
        sa.Column("looks", sa.Integer(), server_default="0", nullable=False),
        sa.Column("duplicate_at", types.Utc(timezone=True), nullable=True),
        sa.Column("first_attempt_at", types.Utc(timezone=True), nullable=True),
        sa.Column("last_attempt_at", types.Utc(timezone=True), nullable=True),
        sa.Column("sent_at", types.Utc(timezone=True), nullable=True),
        sa.Column("payload_id", sa.Text(), nullable=True),
        sa.Column("portal_id", sa.Text(), nullable=True),
        sa.Column("stage", sa.Text(), nullable=True),
        sa.Column("stage_since", types.Utc(timezone=True), nullable=True),
        sa.Column("stage_happened_at", types.Utc(timezone=True), nullable=True),
        sa.Column("stage_reason_code", sa.Text(), nullable=True),
        sa.Column("stage_reason_text", sa.Text(), nullable=True),
        sa.Column("stage_reason_portal_code", sa.Text(), nullable=True),
        sa.Column("last_raw", sa.Text(), nullable=True),
        sa.Column("intake_at", types.Utc(timezone=True), nullable=True),
        sa.Column("heard_at", types.Utc(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["depends_on_id"], ["document.id"], name=op.f("fk_submission_depends_on_id")),
        sa.ForeignKeyConstraint(["document_id"], ["document.id"], name=op.f("fk_submission_document_id")),
        sa.ForeignKeyConstraint(["revision_id"], ["revision.id"], name=op.f("fk_submission_revision_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_submission")),
        sa.UniqueConstraint("revision_id", name=op.f("uq_submission_revision_id")),
    )
    op.create_index(
        op.f("ix_submission_connection_state_due_at"), "submission", ["connection", "state", "due_at"], unique=False
    )
    op.create_index(op.f("ix_submission_document_id"), "submission", ["document_id"], unique=False)
    op.create_index(op.f("ix_submission_payload_id"), "submission", ["payload_id"], unique=False)
    op.create_index(op.f("ix_submission_portal_id"), "submission", ["portal_id"], unique=False)
    op.create_index(op.f("ix_submission_state_due_at"), "submission", ["state", "due_at"], unique=False)
    op.create_index(
        "one_live_submission",
        "submission",
        ["document_id"],
        unique=True,
        sqlite_where=sa.text("state NOT IN ('refused', 'superseded', 'withdrawn')"),
        postgresql_where=sa.text("state NOT IN ('refused', 'superseded', 'withdrawn')"),
    )
    op.create_table(
        "event",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("connection", sa.Text(), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("submission_id", sa.Integer(), nullable=True),
        sa.Column("concerns", sa.Text(), nullable=False),
        sa.Column("word", sa.Text(), nullable=False),
        sa.Column("raw", sa.Text(), nullable=False),
        sa.Column("number", sa.Text(), nullable=True),
        sa.Column("payload_id", sa.Text(), nullable=True),
        sa.Column("portal_id", sa.Text(), nullable=True),
        sa.Column("portal_customer", sa.Text(), nullable=True),
        sa.Column("reasons", sa.Text(), nullable=False),
        sa.Column("happened_at", types.Utc(timezone=True), nullable=True),
        sa.Column("observed_at", types.Utc(timezone=True), nullable=False),
        sa.Column("stored_at", types.Utc(timezone=True), nullable=False),
        sa.Column("document_sha256", sa.Text(), nullable=True),
        sa.Column("applied", sa.Boolean(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["submission_id"], ["submission.id"], name=op.f("fk_event_submission_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_event")),
        sa.UniqueConstraint("connection", "event_id", name=op.f("uq_event_connection_event_id")),
    )
    op.create_index(op.f("ix_event_document_sha256"), "event", ["document_sha256"], unique=False)
    op.create_index(op.f("ix_event_submission_id"), "event", ["submission_id"], unique=False)
    op.create_index(
        "unmatched_events",
        "event",
        ["connection", "portal_id"],
        unique=False,
        sqlite_where=sa.text("submission_id IS NULL"),
        postgresql_where=sa.text("submission_id IS NULL"),
    )
    op.create_table(
        "finding",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("submission_id", sa.Integer(), nullable=False),
        sa.Column("check_no", sa.Integer(), nullable=False),
        sa.Column("found_at", types.Utc(timezone=True), nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("severity", sa.Text(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("fix", sa.Text(), nullable=False),
        sa.Column("field", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("place", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["submission_id"], ["submission.id"], name=op.f("fk_finding_submission_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_finding")),
    )
    op.create_index(op.f("ix_finding_submission_id_check_no"), "finding", ["submission_id", "check_no"], unique=False)
    op.create_table(
        "step",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("submission_id", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("repeat", sa.Text(), nullable=False),
        sa.Column("leaves", sa.Text(), nullable=False),
        sa.Column("media_type", sa.Text(), nullable=False),
        sa.Column("boundary", sa.Text(), nullable=True),
        sa.Column("body_sha256", sa.Text(), nullable=False),
        sa.Column("enclosures", sa.Text(), nullable=False),
        sa.Column("receipt", sa.Text(), nullable=True),
        sa.Column("done_at", types.Utc(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["submission_id"], ["submission.id"], name=op.f("fk_step_submission_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_step")),
        sa.UniqueConstraint("submission_id", "position", name=op.f("uq_step_submission_id_position")),
    )
    op.create_index(op.f("ix_step_body_sha256"), "step", ["body_sha256"], unique=False)
    op.create_table(
        "task",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("submission_id", sa.Integer(), nullable=True),
        sa.Column("step", sa.Text(), server_default="", nullable=False),
        sa.Column("connection", sa.Text(), nullable=True),
        sa.Column("account", sa.Text(), nullable=True),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=True),
        sa.Column("expires_at", types.Utc(timezone=True), nullable=True),
        sa.Column("created_at", types.Utc(timezone=True), nullable=False),
        sa.Column("answered_at", types.Utc(timezone=True), nullable=True),
        sa.Column("answered_by", sa.Text(), nullable=True),
        sa.Column("answer", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["submission_id"], ["submission.id"], name=op.f("fk_task_submission_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_task")),
    )
    op.create_index(op.f("ix_task_submission_id"), "task", ["submission_id"], unique=False)
    op.create_index(
        "one_open_task",
        "task",
        ["subject"],
        unique=True,
        sqlite_where=sa.text("answered_at IS NULL"),
        postgresql_where=sa.text("answered_at IS NULL"),
    )
    op.create_table(
        "transition",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("submission_id", sa.Integer(), nullable=True),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("before", sa.Text(), nullable=True),
        sa.Column("after", sa.Text(), nullable=True),
        sa.Column("at", types.Utc(timezone=True), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("evidence", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["submission_id"], ["submission.id"], name=op.f("fk_transition_submission_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_transition")),
    )
    op.create_index(op.f("ix_transition_submission_id"), "transition", ["submission_id"], unique=False)
    op.create_table(
        "attempt",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("submission_id", sa.Integer(), nullable=False),
        sa.Column("step_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.Column("body_sha256", sa.Text(), nullable=False),
        sa.Column("rules_version", sa.Text(), nullable=True),
        sa.Column("mapping_version", sa.Text(), nullable=True),
        sa.Column("connector_version", sa.Text(), nullable=True),
        sa.Column("started_at", types.Utc(timezone=True), nullable=False),
        sa.Column("finished_at", types.Utc(timezone=True), nullable=True),
        sa.Column("delivered", sa.Text(), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("words", sa.Text(), nullable=True),
        sa.Column("reasons", sa.Text(), nullable=True),
        sa.Column("reply_sha256", sa.Text(), nullable=True),
        sa.Column("late", sa.Boolean(), server_default=sa.text("(false)"), nullable=False),
        sa.ForeignKeyConstraint(["step_id"], ["step.id"], name=op.f("fk_attempt_step_id")),
        sa.ForeignKeyConstraint(["submission_id"], ["submission.id"], name=op.f("fk_attempt_submission_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_attempt")),
        sa.UniqueConstraint("submission_id", "number", name=op.f("uq_attempt_submission_id_number")),
    )
    op.create_index(op.f("ix_attempt_reply_sha256"), "attempt", ["reply_sha256"], unique=False)
    op.create_index(op.f("ix_attempt_step_id"), "attempt", ["step_id"], unique=False)
    op.create_table(
        "evidence",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("at", types.Utc(timezone=True), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("submission_id", sa.Integer(), nullable=True),
        sa.Column("attempt_id", sa.Integer(), nullable=True),
        sa.Column("sha256", sa.Text(), nullable=True),
        sa.Column("salt", sa.Text(), nullable=True),
        sa.Column("salted", sa.Text(), nullable=False),
        sa.Column("link", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["attempt_id"], ["attempt.id"], name=op.f("fk_evidence_attempt_id")),
        sa.ForeignKeyConstraint(["submission_id"], ["submission.id"], name=op.f("fk_evidence_submission_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_evidence")),
    )
    op.create_index(op.f("ix_evidence_attempt_id"), "evidence", ["attempt_id"], unique=False)
    op.create_index(op.f("ix_evidence_sha256"), "evidence", ["sha256"], unique=False)
    op.create_index(op.f("ix_evidence_submission_id"), "evidence", ["submission_id"], unique=False)
