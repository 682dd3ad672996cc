"""How often is asked for statuses: young invoices and those about to change often, old ones rarely, within a budget.

Pure but for `plan_of`, which reads the ledger. A plan is made anew from what is known, so that a restart, a sleep or a
second process changes nothing: what was asked about, and when, stands in the ledger.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from hub.config import Connection
from hub.contract.status import Submission
from hub.delivery.awaited import PAID_SOON, Awaited, asked_at, awaited
from hub.delivery.workspace import Workspace
from hub.hubfile import Limits
from hub.schedule import Schedule, jitter_of, last_fire, next_fire, next_open, open_now

_HOUR = dt.timedelta(hours=1)
_DAY = 24 * _HOUR
# How long ago the last news of an invoice are, and how often is asked then; the first is the connection's poll_every.
_RUNGS = ((_HOUR, dt.timedelta(0)), (_DAY, _HOUR / 4), (7 * _DAY, _HOUR), (dt.timedelta.max, 3 * _HOUR))
_ENDED_EVERY = _DAY  # paid can be reversed
_HEARTBEAT = _HOUR  # nothing is open: does the login still work, and does the portal tell of what we do not know?
_DUE_SOON = dt.timedelta(days=3)  # a payment comes about then
_NO_WORD_YET = (Submission.SENT, Submission.IN_DOUBT)
_AT_ONCE = 10  # customers in one poll: what is to be sent comes in between
_SOON = 0.05  # of its interval: so early a customer is taken along
_SHARE = 0.5  # of what the limits allow is for polls, where hub.yaml says nothing else
_LEAST = 0.1  # of the polls are for the old ones, however many are young
WHOLE = ""  # stands for all customers, where one call tells of all


@dataclass(frozen=True)
class Plan:
    """Whom to ask about now, those first that waited longest, and when there is more to ask."""

    due: tuple[str, ...]  # the portal's ids of customers, or WHOLE
    next_at: dt.datetime | None  # None: nothing is ever due as things stand
    intervals: Mapping[str, dt.timedelta]  # how long each customer may wait


def interval_of(one: Awaited, at: dt.datetime, base: dt.timedelta) -> dt.timedelta:
    """How often an invoice wants to be asked about; never more often than `base`."""
    if one.ended and at - one.news_at > _HOUR:
        return max(base, _ENDED_EVERY)
    rung = next(n for n, (age, _) in enumerate(_RUNGS) if at - one.news_at <= age)
    expected = one.state in _NO_WORD_YET or (one.stage in PAID_SOON and _is_near(one.due_date, at))
    return max(base, _RUNGS[max(0, rung - 1) if expected else rung][1])


def _is_near(due_date: dt.date | None, at: dt.datetime) -> bool:
    return due_date is not None and abs(due_date - at.date()) <= _DUE_SOON


def budget_of(limits: Limits, polls_per_hour: int | None) -> float | None:
    """How many requests an hour polls may take: what hub.yaml says, else half of what its limits allow; None: any."""
    windows = (
        (limits.per_second, 3600.0),
        (limits.per_minute, 60.0),
        (limits.per_hour, 1.0),
        (limits.per_day, 1 / 24),
    )
    allowed = min((limit * hourly for limit, hourly in windows if limit is not None), default=None)
    if polls_per_hour is None:
        return None if allowed is None else allowed * _SHARE
    return polls_per_hour if allowed is None else min(polls_per_hour, allowed)


def stretched(
    intervals: Mapping[str, dt.timedelta], base: dt.timedelta, budget: float | None
) -> dict[str, dt.timedelta]:
    """The intervals as long as the budget (requests an hour) makes them: those of old invoices give way first."""
    rates = {customer: _HOUR / every for customer, every in intervals.items()}
    young = sum(rate for customer, rate in rates.items() if intervals[customer] <= base)
    old = sum(rates.values()) - young
    if budget is None or young + old <= budget:
        return dict(intervals)
    for_old = min(old, max(budget - young, budget * _LEAST))
    slower_young = max(1.0, young / (budget - for_old)) if young else 1.0
    slower_old = old / for_old if old else 1.0
    return {one: every * (slower_young if every <= base else slower_old) for one, every in intervals.items()}


def plan(
    open_: Iterable[Awaited],
    connection: Connection,
    asked: dt.datetime | None,
    at: dt.datetime,
    *,
    by_customer: bool,
) -> Plan:
    """Whose turn it is. `asked`: when the connection was last asked, where one call tells of all.

    Where a customer is asked about by itself, its own last poll counts; without an id it cannot be asked about.
    """
    schedule, base = connection.polling, connection.poll_every
    intervals: dict[str, dt.timedelta] = {} if by_customer else {WHOLE: max(base, _HEARTBEAT)}
    last: dict[str, dt.datetime | None] = {} if by_customer else {WHOLE: asked}
    for one in open_:
        customer = one.customer if by_customer else WHOLE
        if customer is None:
            continue
        every = interval_of(one, at, base)
        intervals[customer] = min(every, intervals.get(customer, every))
        if by_customer:
            before = last.get(customer, one.asked_at)
            last[customer] = None if before is None or one.asked_at is None else min(before, one.asked_at)
    intervals = stretched(intervals, base, budget_of(connection.limits, connection.polls_per_hour))
    waiting = sorted((_due_at(schedule, last[one], every, at), one) for one, every in intervals.items())
    is_open = open_now(schedule.calendars, at)
    if waiting and is_open and waiting[0][0] <= at:
        soon = [one for due_at, one in waiting if due_at - intervals[one] * _SOON <= at]
        return Plan(tuple(soon[:_AT_ONCE]), at, intervals)
    next_at = max(at, waiting[0][0]) if waiting else None
    return Plan((), next_at if next_at is None else next_open(schedule.calendars, next_at), intervals)


def _due_at(schedule: Schedule, last: dt.datetime | None, every: dt.timedelta, at: dt.datetime) -> dt.datetime:
    """When a customer that was asked about at `last` is to be asked about again."""
    if schedule.cron is None:
        return at if last is None else last + every + jitter_of(schedule, last)
    came = last_fire(schedule, at)
    if came is not None and (last is None or last < came):
        return at
    following = next_fire(schedule, at)
    return at + _DAY if following is None else following + jitter_of(schedule, following)


def plan_of(ws: Workspace, connection: str, *, by_customer: bool) -> Plan:
    """The plan for a connection as its ledger stands."""
    asked = None if by_customer else asked_at(ws, connection)
    return plan(awaited(ws, connection), ws.config.connections[connection], asked, ws.now(), by_customer=by_customer)
