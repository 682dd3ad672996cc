"""How often is asked for statuses: by age and by what is expected, within a budget."""

from __future__ import annotations

import datetime as dt
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.config import Connection
from hub.contract.connector import Settings
from hub.contract.status import Stage, Submission
from hub.delivery.awaited import Awaited
from hub.engine.polling import WHOLE, budget_of, interval_of, plan, stretched
from hub.hubfile import Limits
from hub.schedule import Calendar, Schedule, spans_of

NOW = dt.datetime(2026, 11, 23, 12, 0, tzinfo=dt.UTC)
MINUTE, HOUR, DAY = dt.timedelta(minutes=1), dt.timedelta(hours=1), dt.timedelta(days=1)
BASE = 5 * MINUTE
S = Submission
ACCEPTED = {"state": S.ACCEPTED, "stage": Stage.IN_REVIEW}


def one(age: dt.timedelta, *, asked: dt.timedelta | None = None, **more: Any) -> Awaited:
    """Something whose last news are so old, and that was asked about so long ago."""
    told = {"customer": "C-1", "due_date": None, **ACCEPTED, **more}
    return Awaited(news_at=NOW - age, asked_at=None if asked is None else NOW - asked, **told)


def connection(**more: Any) -> Connection:
    polling = Schedule("poll:x", ZoneInfo("UTC"), BASE, more.pop("cron", None), more.pop("hours", ()))
    told = {"limits": Limits(), "polls_per_hour": None, "max_parallel": None, "paused": False, **more}
    return Connection(key="x", connector="manual", settings=Settings(), submitting=polling, polling=polling, **told)


@pytest.mark.parametrize(
    ("age", "what", "every"),
    [
        (MINUTE, ACCEPTED, BASE),
        (HOUR, ACCEPTED, BASE),
        (2 * HOUR, ACCEPTED, 15 * MINUTE),
        (2 * DAY, ACCEPTED, HOUR),
        (20 * DAY, ACCEPTED, 3 * HOUR),
        (2 * HOUR, {"state": S.SENT, "stage": None}, BASE),
        (2 * DAY, {"state": S.SENT, "stage": None}, 15 * MINUTE),
        (2 * HOUR, {"state": S.IN_DOUBT, "stage": None}, BASE),
        (20 * DAY, {"state": S.ACCEPTED, "stage": Stage.APPROVED, "due_date": dt.date(2026, 11, 25)}, HOUR),
        (20 * DAY, {"state": S.ACCEPTED, "stage": Stage.SCHEDULED, "due_date": dt.date(2026, 11, 21)}, HOUR),
        (20 * DAY, {"state": S.ACCEPTED, "stage": Stage.APPROVED, "due_date": dt.date(2027, 1, 25)}, 3 * HOUR),
        (20 * DAY, {"state": S.ACCEPTED, "stage": Stage.IN_REVIEW, "due_date": dt.date(2026, 11, 25)}, 3 * HOUR),
        (2 * HOUR, {"state": S.ACCEPTED, "stage": Stage.PAID}, DAY),
        (MINUTE, {"state": S.ACCEPTED, "stage": Stage.REJECTED}, BASE),
        (2 * HOUR, {"state": S.REFUSED, "stage": None}, DAY),
    ],
)
def test_young_and_expected_ones_are_asked_about_more_often(
    age: dt.timedelta, what: dict[str, Any], every: dt.timedelta
) -> None:
    """The older the last news the rarer, one step more often where a word is due, once a day after the end."""
    assert every == interval_of(one(age, **what), NOW, BASE)
    assert 6 * HOUR <= interval_of(one(age, **what), NOW, 6 * HOUR)


@pytest.mark.parametrize(
    ("limits", "polls_per_hour", "budget"),
    [
        ({}, None, None),
        ({}, 12, 12),
        ({"per_hour": 60}, None, 30),
        ({"per_minute": 10, "per_day": 2_400}, None, 50),
        ({"per_second": 1}, None, 1800),
        ({"per_hour": 60}, 50, 50),
        ({"per_hour": 60}, 90, 60),
    ],
)
def test_a_budget_is_half_of_the_limits_or_what_is_said(
    limits: dict[str, int], polls_per_hour: int | None, budget: float | None
) -> None:
    """The rest is for what is sent."""
    assert budget == budget_of(Limits(**limits), polls_per_hour)


@given(
    st.dictionaries(st.text(max_size=2), st.sampled_from([BASE, 15 * MINUTE, HOUR, 3 * HOUR, DAY]), max_size=60),
    st.floats(0.5, 200),
)
def test_intervals_stretch_until_they_keep_to_the_budget(intervals: dict[str, dt.timedelta], budget: float) -> None:
    """Never more requests an hour than that; nobody is asked about more often than wanted, nor never."""
    made = stretched(intervals, BASE, budget)
    assert sum(HOUR / every for every in made.values()) <= budget * 1.0001
    assert all(made[customer] >= every for customer, every in intervals.items())
    assert intervals == stretched(intervals, BASE, None)
    young = {customer for customer, every in intervals.items() if every == BASE}
    if len(young) * 12 <= budget * 0.9:
        assert all(made[customer] == BASE for customer in young)


def test_old_ones_give_way_to_young_ones() -> None:
    """Ten a hundred minutes apart leave the young one its five minutes."""
    old = {f"C-{n}": 15 * MINUTE for n in range(10)}
    made = stretched({"young": BASE, **old}, BASE, 20)
    assert (BASE, 75 * MINUTE) == (made.pop("young"), max(made.values()))


def test_where_one_call_tells_of_all_the_most_urgent_counts() -> None:
    """A connection is asked as often as its youngest invoice wants."""
    old, young = one(2 * DAY), one(MINUTE)
    x, asked = connection(), NOW - 4 * MINUTE
    made = plan([old, young], x, asked, NOW, by_customer=False)
    assert ((), asked + BASE, {WHOLE: BASE}) == (made.due, made.next_at, made.intervals)
    assert (WHOLE,) == plan([old, young], x, NOW - BASE, NOW, by_customer=False).due
    assert () == plan([old], x, NOW - 59 * MINUTE, NOW - 3 * MINUTE, by_customer=False).due
    assert (WHOLE,) == plan([old], x, None, NOW, by_customer=False).due


def test_with_nothing_open_a_connection_is_asked_now_and_then() -> None:
    """Whether the login still works; a portal that is asked by customer has nothing to be asked."""
    made = plan([], connection(), NOW - MINUTE, NOW, by_customer=False)
    assert ((), NOW + 59 * MINUTE) == (made.due, made.next_at)
    none = plan([], connection(), None, NOW, by_customer=True)
    assert ((), None) == (none.due, none.next_at)


def test_customers_are_asked_about_by_their_own_age_and_the_longest_waiting_first() -> None:
    """One that was never asked about comes first; one that will soon be due is taken along."""
    hour_old = {"customer": "old", "asked": 58 * MINUTE}
    waiting = [
        one(2 * DAY, **hour_old),
        one(MINUTE, customer="young", asked=2 * MINUTE),
        one(MINUTE, customer="due", asked=6 * MINUTE),
        one(2 * DAY, customer="new"),
        one(MINUTE, customer=None),
    ]
    made = plan(waiting, connection(), None, NOW, by_customer=True)
    assert ("due", "new", "old") == made.due
    assert {"old": HOUR, "young": BASE, "due": BASE, "new": HOUR} == made.intervals
    later = plan(waiting[:2], connection(), None, NOW, by_customer=True)
    assert ((), NOW + 2 * MINUTE) == (later.due, later.next_at)


def test_two_accounts_of_a_customer_count_as_long_as_the_one_that_waits_longer() -> None:
    """One request tells of both."""
    both = [one(MINUTE, asked=MINUTE), one(MINUTE, asked=6 * MINUTE)]
    assert ("C-1",) == plan(both, connection(), None, NOW, by_customer=True).due
    never = [one(MINUTE, asked=MINUTE), one(MINUTE)]
    assert ("C-1",) == plan(never, connection(), None, NOW, by_customer=True).due


def test_many_that_are_due_come_in_several_polls() -> None:
    """So that what is to be sent comes in between."""
    many = [one(MINUTE, customer=f"C-{n}", asked=HOUR) for n in range(25)]
    assert 10 == len(plan(many, connection(), None, NOW, by_customer=True).due)


def test_a_closed_portal_is_asked_when_it_opens() -> None:
    """What is due then waits; nothing is asked meanwhile."""
    hours = (Calendar(ZoneInfo("UTC"), (spans_of("14:00-18:00"),) * 7),)
    made = plan([one(MINUTE)], connection(hours=hours), NOW - DAY, NOW, by_customer=False)
    assert ((), NOW + 2 * HOUR) == (made.due, made.next_at)
    opened = plan([one(MINUTE)], connection(hours=hours), NOW - DAY, NOW + 2 * HOUR, by_customer=False)
    assert (WHOLE,) == opened.due


def test_at_the_times_of_an_expression_everybody_is_asked_about_and_at_no_other() -> None:
    """Young or old; a time that was slept through is made up for, once."""
    x = connection(cron="0 8,11 * * *")
    slept, done = NOW - 2 * HOUR, NOW - 59 * MINUTE
    waiting = [one(20 * DAY, customer="old", asked=NOW - slept), one(MINUTE, customer="done", asked=NOW - done)]
    made = plan(waiting, x, None, NOW, by_customer=True)
    assert ("old",) == made.due
    assert (WHOLE,) == plan(waiting, x, slept, NOW, by_customer=False).due
    after = plan(waiting, x, done, NOW, by_customer=False)
    assert ((), dt.datetime(2026, 11, 24, 8, 0, tzinfo=dt.UTC)) == (after.due, after.next_at)


def test_jitter_comes_on_top() -> None:
    """Up to so much later, the same for everybody who plans."""
    polling = Schedule("poll:x", ZoneInfo("UTC"), BASE, jitter=MINUTE)
    x = connection()
    spread = Connection(**{**vars(x), "polling": polling})
    made = [plan([one(MINUTE)], spread, NOW - n * MINUTE, NOW, by_customer=False).next_at for n in (1, 1, 2)]
    late = [(at or NOW) - (NOW + n * MINUTE) for at, n in zip(made, (4, 4, 3), strict=True)]
    assert late[0] == late[1] != late[2]
    assert all(dt.timedelta(0) < one < MINUTE for one in late)
