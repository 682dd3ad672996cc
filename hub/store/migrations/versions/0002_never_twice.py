"""What breakers, the gate, arming and polling by account must remember."""

import sqlalchemy as sa
from alembic import op

from hub.store import types

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """What breakers, the gate, arming and polling by account must remember."""
    for table in ("connection", "account"):
        op.add_column(table, sa.Column("failures", sa.Integer(), server_default="0", nullable=False))
        op.add_column(table, sa.Column("retry_at", types.Utc(timezone=True), nullable=True))
        op.add_column(table, sa.Column("failing_why", sa.Text(), nullable=True))
    op.add_column("account", sa.Column("polled_at", types.Utc(timezone=True), nullable=True))
    op.add_column("account", sa.Column("heard_at", types.Utc(timezone=True), nullable=True))
    op.add_column("submission", sa.Column("looked_at", types.Utc(timezone=True), nullable=True))
    op.add_column("instance", sa.Column("place", sa.Text(), nullable=True))
    op.create_table(
        "gate",
        sa.Column("connection", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("wanted_until", sa.Double(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("connection", name=op.f("pk_gate")),
    )
    op.create_table(
        "gate_pass",
        sa.Column("connection", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("connection", "seq", name=op.f("pk_gate_pass")),
    )
