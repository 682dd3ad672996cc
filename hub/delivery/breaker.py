"""Breakers: a portal, or one customer's side of it, that fails again and again is left alone for a while.

A failure says by its `scope` whose it is. After a few in a row nothing is claimed until `retry_at`; then one submission
goes as a trial, and its end closes the breaker or holds it longer. What stands still and why is in the row, for people.
"""

from __future__ import annotations

import datetime as dt

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from hub.contract.errors import Scope, Transient
from hub.delivery import ledger
from hub.store import tables as t

OPENS_AFTER = 3  # failures in a row
_FIRST = dt.timedelta(seconds=30)
_LONGEST = dt.timedelta(minutes=30)


def hold(failures: int, retry_after: dt.timedelta | None = None) -> dt.timedelta:
    """How long nothing is sent after so many failures in a row; never less than the portal asked for. Pure."""
    over = failures - OPENS_AFTER
    doubled: dt.timedelta = min(_FIRST * 2.0 ** min(over, 20), _LONGEST) if over >= 0 else dt.timedelta(0)
    return max(doubled, retry_after or dt.timedelta(0))


def failed(
    tx: Connection, error: Exception, *, connection: str, account: str | None, seen: int, at: dt.datetime, words: str
) -> bool:
    """Count a failure of the portal's; whether nothing goes there now. `seen`: the failures when this one was claimed.

    What was on its way when the breaker opened tells nothing new, and does not hold it longer. An error that is about
    one invoice, or that is an answer, counts as no failure.
    """
    place = _place(error, connection, account)
    if place is None:
        return False
    table, key = place
    row = tx.execute(sa.select(table).where(table.c.key == key).with_for_update()).one()
    if row.retry_at is not None and row.retry_at > at and seen < OPENS_AFTER:
        return True
    failures = row.failures + 1
    wait = hold(failures, error.retry_after if isinstance(error, Transient) else None)
    until = at + wait if wait else None
    tx.execute(table.update().where(table.c.key == key).values(failures=failures, retry_at=until, failing_why=words))
    if until is not None:
        why = f"nothing is sent until {until:%Y-%m-%d %H:%M:%S} UTC, after {failures} failures in a row: {words}"
        before = "running" if row.retry_at is None else "held"  # the trial failed
        ledger.note(tx, f"{table.name}:{key}", before=before, after="held", at=at, actor=ledger.HUB, why=why)
    return until is not None


def _place(error: Exception, connection: str, account: str | None) -> tuple[sa.Table, str] | None:
    if not isinstance(error, Transient) or error.scope is Scope.INVOICE:
        return None
    if error.scope is Scope.ACCOUNT and account is not None:
        return t.account, account
    return t.connection, connection


def try_one(tx: Connection, *, connection: str, account: str | None, until: dt.datetime) -> None:
    """A submission goes as a trial: the others wait for what becomes of it, at the longest until then."""
    for table, key in ((t.connection, connection), (t.account, account)):
        failing = sa.and_(table.c.key == key, table.c.failures >= OPENS_AFTER)
        tx.execute(table.update().where(failing).values(retry_at=until))


def worked(tx: Connection, *, connection: str, account: str | None, at: dt.datetime) -> None:
    """The portal answered: what was held goes on."""
    for table, key in ((t.connection, connection), (t.account, account)):
        failing = sa.and_(table.c.key == key, table.c.failures > 0)
        tried = tx.execute(sa.select(table.c.retry_at).where(failing)).one_or_none()
        if tried is None:
            continue
        tx.execute(table.update().where(failing).values(failures=0, retry_at=None, failing_why=None))
        if tried.retry_at is not None:
            why = "the portal answers again"
            ledger.note(tx, f"{table.name}:{key}", before="held", after="running", at=at, actor=ledger.HUB, why=why)
