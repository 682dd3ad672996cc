"""Column types that keep what they are given: moments in UTC, amounts exact."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

from sqlalchemy import BigInteger, DateTime, Dialect, TypeDecorator


class Utc(TypeDecorator[dt.datetime]):
    """A moment: only zoned values go in, UTC comes out."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: dt.datetime | None, dialect: Dialect) -> dt.datetime | None:
        """To UTC; SQLite keeps no zone, so there the UTC clock time is stored."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value!r} has no time zone; the ledger takes zoned times only")
        value = value.astimezone(dt.UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: dt.datetime | None, dialect: Dialect) -> dt.datetime | None:  # noqa: ARG002 - SQLAlchemy's
        """With its zone, UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=dt.UTC) if value.tzinfo is None else value.astimezone(dt.UTC)


LARGEST = Decimal(10) ** 14  # in any currency; below it, every amount fits its column


class Amount(TypeDecorator[Decimal]):
    """An exact amount, kept as a whole number of ten-thousandths so that both databases add and sort it exactly."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> int | None:  # noqa: ARG002 - SQLAlchemy's
        """Refuses what has more than four decimals or is LARGEST or more."""
        if value is None:
            return None
        if abs(value) >= LARGEST:
            raise ValueError(f"the amount {value} is too large; the most is {LARGEST:,f}")
        if value != round(value, 4):
            raise ValueError(f"the amount {value} has more than four decimals")
        return int(value.scaleb(4))

    def process_result_value(self, value: Any, dialect: Dialect) -> Decimal | None:  # noqa: ARG002 - SQLAlchemy's
        """With two decimals, or four where they are used."""
        if value is None:
            return None
        exact = Decimal(int(value)).scaleb(-4)
        short = exact.quantize(Decimal("0.01"))
        return short if short == exact else exact
