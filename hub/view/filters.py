"""Which documents are wanted: filters as people type them, and the words they may use."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from hub.contract.invoice import Kind
from hub.contract.status import Stage, Submission, WhoseMove
from hub.schedule import Schedule
from hub.store import tables as t
from hub.store.database import Database
from hub.view.whose_move import Outcome

NO_STAGE = "none"  # the filter's word for: no stage was heard yet


class FilterError(ValueError):
    """A filter has a value that nothing can match; the message names the known ones."""


@dataclass(frozen=True)
class Names:
    """What people are told from the configuration, by key: how things are called, when it is sent, whose day it is."""

    entities: Mapping[str, str] = field(default_factory=dict)
    customers: Mapping[str, str] = field(default_factory=dict)
    accounts: Mapping[str, str] = field(default_factory=dict)
    sending: Mapping[str, Schedule] = field(default_factory=dict)  # when each connection submits
    zones: Mapping[str, ZoneInfo] = field(default_factory=dict)  # of the accounts


@dataclass(frozen=True)
class Filters:
    """Which documents are wanted; what is empty or None does not restrict."""

    text: str = ""  # part of our number, the portal's, an order's, the buyer's name, or the portal's reference
    entity: str | None = None
    customer: str | None = None
    account: str | None = None
    submissions: frozenset[Submission] = frozenset()
    stages: frozenset[Stage | None] = frozenset()
    whose_move: WhoseMove | None = None
    outcome: Outcome | None = None
    kind: Kind | None = None


def read_filters(  # noqa: PLR0913 - one argument for each filter
    db: Database,
    names: Names,
    *,
    text: str | None = None,
    entity: str | None = None,
    customer: str | None = None,
    account: str | None = None,
    submissions: Iterable[str] = (),
    stages: Iterable[str] = (),
    whose_move: str | None = None,
    outcome: str | None = None,
    kind: str | None = None,
) -> Filters:
    """Filters from words as people type them; raises FilterError for a value that is not known."""
    d, s = t.document.c, t.submission.c
    with db.reading() as tx:
        return Filters(
            text=(text or "").strip()[:200],
            entity=_known(tx, "entity", entity, names.entities, d.entity),
            customer=_known(tx, "customer", customer, names.customers, d.customer),
            account=_known(tx, "account", account, names.accounts, s.account),
            submissions=frozenset(_one(Submission, "submission", word) for word in submissions if word.strip()),
            stages=frozenset(_stage(word) for word in stages if word.strip()),
            whose_move=_one(WhoseMove, "whose_move", whose_move) if whose_move else None,
            outcome=_one(Outcome, "outcome", outcome) if outcome else None,
            kind=_one(Kind, "kind", kind) if kind else None,
        )


def _stage(word: str) -> Stage | None:
    return None if word.strip() == NO_STAGE else _one(Stage, "stage", word, NO_STAGE)


_Word = TypeVar("_Word", bound=StrEnum)


def _one(words: type[_Word], name: str, value: str, *more: str) -> _Word:
    try:
        return words(value.strip())
    except ValueError:
        raise _unknown(name, value, (*more, *words)) from None


def _known(
    tx: Connection, name: str, value: str | None, configured: Mapping[str, str], column: sa.Column[Any]
) -> str | None:
    """`value` if the configuration or the ledger has it; what left the configuration can still be looked for."""
    value = (value or "").strip()
    if not value or value in configured:
        return value or None
    if tx.execute(sa.select(column).where(column == value).limit(1)).first() is None:
        raise _unknown(name, value, tuple(configured))
    return value


def _unknown(name: str, value: str, known: Sequence[str]) -> FilterError:
    near = difflib.get_close_matches(value, known, n=1)
    meant = f"; did you mean {near[0]}?" if near else "."
    listed = ", ".join(sorted(known)[:40]) or "none"
    return FilterError(f"{name}: {value[:80]!r} is not known{meant} Known: {listed}")
