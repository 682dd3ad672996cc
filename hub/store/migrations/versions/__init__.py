"""Alembic revisions of the ledger; the oldest is 0001."""
