"""Whose move it is, what to do next, and what kind of trouble it is: derived from the ledger, never typed in.

Both answers are tables that are read top to bottom; the first rule that fits answers. The same tables decide in Python
(`judge`) and in SQL (`whose_move_column`), so that a list of whose move it is can never contradict its rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from hub.contract.status import ReasonCode, Stage, Submission, WhoseMove
from hub.delivery.related import WAITS
from hub.delivery.tasks import TaskKind

S = Submission


class Owner(StrEnum):
    """Whose side a reason lies on: the first word of its code."""

    SUPPLIER = "supplier"
    BUYER = "buyer"
    PORTAL = "portal"
    OTHER = "other"
    ORIGINAL = "original"  # not a reason of its own: it waits for the invoice it belongs to


class Asks(StrEnum):
    """What an open task of an invoice asks for."""

    DATA = "data"  # a decision about the invoice
    WORK = "work"  # something to do or to look up at the portal


class Outcome(StrEnum):
    """The five ways in which an invoice can stand badly. They never share a column or a colour."""

    HELD = "held"  # by our rules; nothing was sent
    FAILED = "failed"  # tried, and certainly not delivered; it goes again by itself
    REFUSED = "refused"  # by the portal; the buyer never saw it
    DISPUTED = "disputed"  # or rejected, by the buyer
    UNKNOWN = "unknown"  # nobody knows yet: whether it arrived, or what the buyer did


ASKS_FOR_DATA = frozenset({TaskKind.DECIDE})  # every other kind is work at the portal


def owner_of(reason_code: str | None) -> Owner | None:
    """Whose side a reason code lies on; None without a code."""
    if reason_code is None:
        return None
    return Owner.ORIGINAL if reason_code == WAITS else _OWNERS.get(reason_code, Owner.OTHER)


_OWNERS = {
    str(code): next((owner for owner in Owner if code.startswith(f"{owner}_")), Owner.OTHER) for code in ReasonCode
}


@dataclass(frozen=True)
class Facts:
    """Everything that the tables look at."""

    state: Submission
    stage: Stage | None = None
    owner: Owner | None = None
    paused: bool = False  # its connection, its account, or all sending
    asks: Asks | None = None
    tried: bool = False  # since it was last made ready
    may_have_arrived: bool = False  # an attempt is not certainly undelivered


@dataclass(frozen=True)
class Rule:
    """Who moves and what they do, where every condition holds; a condition that is not named holds always."""

    who: WhoseMove
    action: str
    when: Mapping[str, frozenset[object]]


def _rule(who: WhoseMove, action: str, **when: object) -> Rule:
    return Rule(who, action, _conditions(when))


def _conditions(when: Mapping[str, object]) -> Mapping[str, frozenset[object]]:
    return {name: frozenset(value if isinstance(value, tuple) else (value,)) for name, value in when.items()}


_CORRECT = "Correct the invoice in the ERP and send it again under the same number."

RULES: tuple[Rule, ...] = (
    _rule(WhoseMove.US_DATA, "Decide what the open task asks, and answer it.", asks=Asks.DATA),
    _rule(WhoseMove.US_OPS, "Do what the open task says, and answer it.", asks=Asks.WORK),
    _rule(
        WhoseMove.US_DATA,
        "See that it gets checked: the hub does so at its next round; if it stays here, look at the hub's log.",
        state=S.DRAFT,
    ),
    _rule(
        WhoseMove.NOBODY_UNTIL,
        "Nothing to do: it goes by itself once the invoice it belongs to is sent.",
        state=S.HELD,
        owner=Owner.ORIGINAL,
    ),
    _rule(
        WhoseMove.US_DATA,
        "Correct what the findings name, in the ERP or where they point, and send it again under the same number.",
        state=S.HELD,
    ),
    _rule(
        WhoseMove.US_OPS,
        "Find out why sending is paused, and resume it; then it goes by itself.",
        state=S.READY,
        paused=True,
    ),
    _rule(
        WhoseMove.NOBODY_UNTIL,
        "Nothing to do: the last try certainly did not arrive, and the hub sends it again by itself.",
        state=S.READY,
        tried=True,
    ),
    _rule(WhoseMove.NOBODY_UNTIL, "Nothing to do: the hub sends it when its turn comes.", state=S.READY),
    _rule(WhoseMove.NOBODY_UNTIL, "Nothing to do: the hub is sending it.", state=S.SENDING),
    _rule(
        WhoseMove.NOBODY_UNTIL,
        "Nothing to do: it may have arrived, so the hub asks the portal before anything is sent again.",
        state=S.IN_DOUBT,
    ),
    _rule(
        WhoseMove.US_OPS,
        "Look at the portal whether it is there, and say so: only a person can.",
        state=S.NEEDS_HUMAN,
    ),
    _rule(WhoseMove.PORTAL, "Wait for the portal to say whether it takes the document in.", state=S.SENT),
    _rule(
        WhoseMove.US_OPS,
        "Have the connection mended: the portal refused the form or the traffic, not what the invoice says.",
        state=S.REFUSED,
        owner=Owner.PORTAL,
    ),
    _rule(WhoseMove.US_DATA, _CORRECT, state=S.REFUSED),
    _rule(WhoseMove.NOBODY_UNTIL, "Nothing to do: a newer revision took its place.", state=S.SUPERSEDED),
    _rule(WhoseMove.NOBODY_UNTIL, "Nothing to do: it was taken back and is not sent.", state=S.WITHDRAWN),
    # From here on the portal has accepted it, and the stage decides.
    _rule(WhoseMove.NOBODY_UNTIL, "Nothing to do: the buyer has paid it.", stage=Stage.PAID),
    _rule(
        WhoseMove.BUYER,
        "Ask the buyer to do their part: the reason lies on their side.",
        stage=(Stage.REJECTED, Stage.DISPUTED),
        owner=Owner.BUYER,
    ),
    _rule(WhoseMove.US_DATA, _CORRECT, stage=Stage.REJECTED),
    _rule(
        WhoseMove.US_DATA,
        "Settle the dispute with the buyer; where they are right, correct the invoice and send it again.",
        stage=Stage.DISPUTED,
    ),
    _rule(
        WhoseMove.US_DATA,
        "Give the buyer what the reason names, so that they take it off hold.",
        stage=Stage.ON_HOLD,
        owner=Owner.SUPPLIER,
    ),
    _rule(
        WhoseMove.US_OPS,
        "Ask the portal's support: the reason of the hold lies with the portal.",
        stage=Stage.ON_HOLD,
        owner=Owner.PORTAL,
    ),
    _rule(WhoseMove.BUYER, "Ask the buyer why it is on hold, and what would release it.", stage=Stage.ON_HOLD),
    _rule(WhoseMove.US_DATA, "Find out why it was cancelled, and whether it is still owed.", stage=Stage.CANCELLED),
    _rule(
        WhoseMove.US_OPS,
        "Read the portal's own word: the hub does not know what it means.",
        stage=Stage.UNKNOWN,
    ),
    _rule(WhoseMove.BUYER, "Wait for the payment.", stage=(Stage.APPROVED, Stage.SCHEDULED)),
    _rule(WhoseMove.BUYER, "Wait for the rest of the payment.", stage=Stage.PARTLY_PAID),
    _rule(WhoseMove.BUYER, "Wait for the buyer to approve it.", stage=(Stage.RECEIVED, Stage.IN_REVIEW)),
    _rule(WhoseMove.BUYER, "Wait for the buyer: nothing was heard of it since the portal took it in."),
)

OUTCOMES: tuple[tuple[Outcome, Mapping[str, frozenset[object]]], ...] = tuple(
    (outcome, _conditions(when))
    for outcome, when in (
        (Outcome.HELD, {"state": S.HELD}),
        (Outcome.FAILED, {"state": S.READY, "tried": True}),
        (Outcome.REFUSED, {"state": S.REFUSED}),
        (Outcome.UNKNOWN, {"state": S.IN_DOUBT}),
        (Outcome.UNKNOWN, {"state": S.NEEDS_HUMAN, "may_have_arrived": True}),
        (Outcome.UNKNOWN, {"state": S.ACCEPTED, "stage": Stage.UNKNOWN}),
        (Outcome.DISPUTED, {"state": S.ACCEPTED, "stage": (Stage.DISPUTED, Stage.REJECTED)}),
    )
)


def judge(facts: Facts) -> Rule:
    """The rule that answers for these facts: whose move it is, and what they do."""
    return next(rule for rule in RULES if _fits(rule.when, facts))


def outcome_of(facts: Facts) -> Outcome | None:
    """Which of the five troubles it is, if any."""
    return next((outcome for outcome, when in OUTCOMES if _fits(when, facts)), None)


def _fits(when: Mapping[str, frozenset[object]], facts: Facts) -> bool:
    return all(getattr(facts, name) in allowed for name, allowed in when.items())


Columns = Mapping[str, sa.ColumnElement[Any]]
"""SQL for each of the Facts; the booleans as conditions."""


def owner_column(reason_code: sa.ColumnElement[str | None]) -> sa.ColumnElement[str | None]:
    """`owner_of`, in SQL."""
    owners: dict[str, Any] = {"": sa.null(), WAITS: Owner.ORIGINAL.value}
    owners |= {code: owner.value for code, owner in _OWNERS.items()}
    return sa.case(owners, value=sa.func.coalesce(reason_code, ""), else_=Owner.OTHER.value)


def whose_move_column(columns: Columns) -> sa.ColumnElement[str]:
    """`judge(facts).who`, in SQL."""
    *rules, last = RULES
    return sa.case(*((_condition(rule.when, columns), rule.who.value) for rule in rules), else_=last.who.value)


def outcome_column(columns: Columns) -> sa.ColumnElement[str | None]:
    """`outcome_of`, in SQL."""
    return sa.case(*((_condition(when, columns), outcome.value) for outcome, when in OUTCOMES), else_=sa.null())


def _condition(when: Mapping[str, frozenset[object]], columns: Columns) -> sa.ColumnElement[bool]:
    return sa.and_(*(_one_of(columns[name], allowed) for name, allowed in when.items()))


def _one_of(column: sa.ColumnElement[Any], allowed: frozenset[object]) -> sa.ColumnElement[bool]:
    if allowed == {True}:
        return sa.and_(column)
    return column.in_(sorted(str(value) for value in allowed))
