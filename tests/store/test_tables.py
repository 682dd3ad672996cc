from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hub.contract.status import NOT_LIVE, Submission
from hub.store import tables as t
from hub.store.database import Database, insert_new
from hub.store.types import LARGEST

NOW = dt.datetime(2031, 3, 14, 9, 30, tzinfo=dt.UTC)


def amounts(db: Database, *values: Decimal) -> list[Decimal]:
    """The amounts as they come back, sorted and summed by the database."""
    with db.writing("test") as tx:
        tx.execute(t.revision.delete())
        tx.execute(t.document.delete())
        document = a_document(tx)
        for seq, value in enumerate(values, 1):
            a_revision(tx, document, seq, value)
        return list(tx.scalars(sa.select(t.revision.c.total).order_by(t.revision.c.total)))


def a_document(tx: sa.Connection) -> int:
    values = {"entity": "us", "customer": "acme", "kind": "invoice", "number": "A-1", "number_key": "a-1"}
    return tx.execute(t.document.insert().values(**values, created_at=NOW).returning(t.document.c.id)).scalar_one()


def a_revision(tx: sa.Connection, document_id: int, seq: int, total: Decimal = Decimal(1)) -> int:
    values: dict[str, Any] = {
        "document_id": document_id,
        "seq": seq,
        "content_sha256": "c",
        "invoice": "{}",
        "source": "json",
        "source_name": "a.json",
        "source_sha256": "s",
        "created_at": NOW,
        "created_by": "hub",
        "shown_number": "A-1",
        "issue_date": dt.date(2031, 3, 1),
        "currency": "EUR",
        "total": total,
        "payable": total,
    }
    return tx.execute(t.revision.insert().values(**values).returning(t.revision.c.id)).scalar_one()


EXACT = st.decimals(-LARGEST + 1, LARGEST - 1, places=4, allow_nan=False, allow_infinity=False)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(EXACT, min_size=1, max_size=5))
def test_amounts_come_back_exactly_and_sort_as_numbers(db: Database, values: list[Decimal]) -> None:
    """To the last ten-thousandth, up to the largest; none becomes a float on its way."""
    assert sorted(values) == amounts(db, *values)


def test_amounts_show_two_decimals_or_four(db: Database) -> None:
    """12.5 is 12.50, and 12.345 is 12.3450."""
    came = amounts(db, Decimal("12.5"), Decimal("12.345"), Decimal(0), Decimal("-0.0001"))
    assert ["-0.0001", "0.00", "12.3450", "12.50"] == [str(one) for one in came]


@pytest.mark.parametrize(
    "value", ["0.00001", "100000000000000", "-100000000000000", "1E+20", "12345678901234.0000000000000001"]
)
def test_an_amount_that_would_not_be_exact_is_refused(db: Database, value: str) -> None:
    """It is never rounded or wrapped around in silence."""
    with pytest.raises(sa.exc.StatementError, match=r"four decimals|too large"):
        amounts(db, Decimal(value))


def test_moments_come_back_in_utc_to_the_microsecond(db: Database) -> None:
    """Whatever zone they went in with, before and after 1970 and on both sides of a change of the clock."""
    berlin, delhi = ZoneInfo("Europe/Berlin"), ZoneInfo("Asia/Kolkata")
    moments = [
        dt.datetime(2031, 3, 14, 9, 30, 15, 123456, tzinfo=berlin),
        dt.datetime(2026, 10, 25, 2, 30, tzinfo=berlin, fold=0),
        dt.datetime(2026, 10, 25, 2, 30, tzinfo=berlin, fold=1),
        dt.datetime(1969, 12, 31, 23, 59, tzinfo=delhi),
        NOW,
    ]
    with db.writing("test") as tx:
        for number, moment in enumerate(moments):
            tx.execute(t.connection.insert().values(key=str(number), polled_at=moment))
    with db.reading() as tx:
        came = list(tx.scalars(sa.select(t.connection.c.polled_at).order_by(t.connection.c.key)))
        later = list(tx.scalars(sa.select(t.connection.c.key).where(t.connection.c.polled_at > moments[0])))
    assert [moment.astimezone(dt.UTC) for moment in moments] == came
    assert [dt.UTC] * len(came) == [one.tzinfo for one in came if one is not None]
    assert ["4"] == later
    assert dt.timedelta(hours=1) == came[2] - came[1]  # type: ignore[operator]


def test_a_moment_without_a_zone_is_refused(db: Database) -> None:
    """Nobody guesses which clock it was read from."""
    naive = NOW.replace(tzinfo=None)
    with pytest.raises(sa.exc.StatementError, match="no time zone"), db.writing("test") as tx:
        tx.execute(t.connection.insert().values(key="x", polled_at=naive))
    with pytest.raises(sa.exc.StatementError, match="no time zone"), db.reading() as tx:
        tx.execute(sa.select(t.connection).where(t.connection.c.polled_at > naive))


@pytest.mark.parametrize("state", Submission)
def test_a_document_has_one_live_submission(db: Database, state: Submission) -> None:
    """Beside a live one no second can stand; beside one that is refused, superseded or withdrawn it can."""

    def insert(tx: sa.Connection, document: int, seq: int, state: str) -> None:
        revision = a_revision(tx, document, seq)
        values = {"document_id": document, "revision_id": revision, "state": state, "since": NOW}
        tx.execute(t.submission.insert().values(**values))

    with db.writing("test") as tx:
        document = a_document(tx)
        insert(tx, document, 1, state)
    if state in NOT_LIVE:
        with db.writing("test") as tx:
            insert(tx, document, 2, "draft")
        return
    with pytest.raises(sa.exc.IntegrityError), db.writing("test") as tx:
        insert(tx, document, 2, "draft")


def test_a_question_is_open_once(db: Database) -> None:
    """The same subject can be asked again when it was answered, and not before."""
    facts = {"kind": "look", "scope": "invoice", "subject": "s", "title": "t", "action": "a", "created_at": NOW}
    with db.writing("test") as tx:
        first = insert_new(tx, t.task, **facts)
        assert (True, None) == (first is not None, insert_new(tx, t.task, **facts))
        tx.execute(t.task.update().values(answered_at=NOW))
        assert first != insert_new(tx, t.task, **facts)
    with pytest.raises(sa.exc.IntegrityError), db.writing("test") as tx:
        tx.execute(t.task.insert().values(**facts))


def test_an_identity_exists_once(db: Database) -> None:
    """Entity, customer, kind and number key together."""
    with db.writing("test") as tx:
        a_document(tx)
    with pytest.raises(sa.exc.IntegrityError), db.writing("test") as tx:
        a_document(tx)


def test_no_row_names_one_that_does_not_exist(db: Database) -> None:
    """Foreign keys hold on both."""
    with pytest.raises(sa.exc.IntegrityError), db.writing("test") as tx:
        a_revision(tx, 99, 1)
