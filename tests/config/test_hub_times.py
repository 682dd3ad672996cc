"""Schedules, hours, holidays and deadlines as hub.yaml has them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from hub.config import Config
from hub.hubfile import json_schema
from hub.schedule import DAYS, next_open, open_now

Loaded = Callable[..., Config]
Faults = Callable[..., list[str]]

TIMES = """\
time_zone: Europe/Berlin
connections:
  north:
    connector: manual
    submit_at: 0 8,14 * * mon-fri
    poll_every: 10m
    jitter: 90s
    polls_per_hour: 30
    business_hours: {mon-thu: "08:00-12:00, 13:00-17:00", fri: 08:00-12:00}
    holidays: [2026-12-24]
    holidays_file: holidays.txt
    portal_hours: {mon-sun: 06:00-24:00}
  south: {connector: manual, time_zone: America/Chicago, holidays: [2026-12-25]}
"""


def test_times_are_read_as_they_are_meant(loaded: Loaded, tmp_path: Path) -> None:
    """Business hours and holidays hold for submits alone, the portal's hours for both."""
    (tmp_path / "holidays.txt").write_text("# ours\n2026-12-25  # Christmas\n\n2027-01-01\n", encoding="utf-8")
    north, south = loaded(TIMES).connections.values()
    portal, business = north.submitting.calendars
    assert ((portal,), ZoneInfo("Europe/Berlin")) == (north.polling.calendars, business.zone)
    assert {dt.date(2026, 12, 24), dt.date(2026, 12, 25), dt.date(2027, 1, 1)} == business.holidays
    assert [((480, 720), (780, 1020))] * 4 + [((480, 720),), (), ()] == list(business.week)
    assert [((360, 1440),)] * 7 == list(portal.week)
    assert ("submit:north", "0 8,14 * * mon-fri", "poll:north", None) == (
        north.submitting.name,
        north.submitting.cron,
        north.polling.name,
        north.polling.cron,
    )
    assert (dt.timedelta(seconds=90), dt.timedelta(minutes=10), 30) == (
        north.polling.jitter,
        north.poll_every,
        north.polls_per_hour,
    )
    [holidays] = south.submitting.calendars
    assert ((), ZoneInfo("America/Chicago")) == (south.polling.calendars, holidays.zone)
    eve = dt.datetime(2026, 12, 24, 23, 59, tzinfo=holidays.zone)
    assert (True, False) == tuple(open_now((holidays,), eve + dt.timedelta(minutes=n)) for n in (0, 1))


def test_old_keys_and_none_are_always_open(loaded: Loaded) -> None:
    """A connection that says nothing of times goes every five seconds and polls every five minutes."""
    one = loaded("connections: {x: {connector: manual}}").connections["x"]
    assert (dt.timedelta(seconds=5), dt.timedelta(minutes=5)) == (one.submit_every, one.poll_every)
    at = dt.datetime(2026, 11, 22, 3, 0, tzinfo=dt.UTC)
    assert at == next_open(one.submitting.calendars, at) == next_open(one.polling.calendars, at)


def test_days_may_wrap_and_be_listed(loaded: Loaded) -> None:
    """As in fri-mon, or mon, wed."""
    text = 'connections: {x: {connector: manual, business_hours: {fri-mon: "22:00-06:00", "tue, wed": "9:00-10:00"}}}'
    [business] = loaded(text).connections["x"].submitting.calendars
    hours = dict(zip(DAYS, business.week, strict=True))
    night, morning = ((1320, 1800),), ((540, 600),)
    assert {"mon": night, "tue": morning, "wed": morning, "thu": (), "fri": night, "sat": night, "sun": night} == hours


def test_deadlines_of_an_account(loaded: Loaded) -> None:
    """How long after its date an invoice may be sent, and until which day of a month."""
    text = (
        "entities: {e: {name: E}}\ncustomers: {c: {name: C}}\nconnections: {x: {connector: manual}}\n"
        "accounts: {a: {entity: e, customer: c, connection: x, send_within: 30d, cut_off: 25}}"
    )
    account = loaded(text).accounts["a"]
    assert (dt.timedelta(days=30), 25) == (account.send_within, account.cut_off)


def x(key: str, value: str) -> str:
    return f"connections:\n  x:\n    connector: manual\n    {key}: {value}\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (x("submit_at", "0 8 * *"), "hub.yaml:4:5: connections.x.submit_at: '0 8 * *' is no cron expression; write "),
        (x("submit_at", "0 25 * * *"), "hub.yaml:4:5: connections.x.submit_at: '0 25 * * *' is no cron expression: "),
        (x("poll_at", "soon * * * *"), "hub.yaml:4:5: connections.x.poll_at: 'soon * * * *' is no cron expression: "),
        (x("poll_at", "0 8 * * 1-5"), "hub.yaml:4:5: connections.x.poll_at: '0 8 * * 1-5': write weekdays as mon, "),
        (x("poll_at", "0 8 1 * mon"), "hub.yaml:4:5: connections.x.poll_at: '0 8 1 * mon': give a day of the month or"),
        (
            x("poll_at", "0 8 * * *\n    poll_every: 5m"),
            "hub.yaml:4:5: connections.x: give poll_every or poll_at, not both",
        ),
        (
            x("business_hours", "{mo-fri: 08:00-18:00}"),
            "hub.yaml:4:22: connections.x.business_hours.mo-fri: 'mo-fri' names no days; write them as in mon-fri",
        ),
        *(
            (
                x("business_hours", f'{{mon: "{hours}"}}'),
                f"hub.yaml:4:22: connections.x.business_hours.mon: '{hours}' are no hours; write from-to as in 08:00-",
            )
            for hours in ("8-18", "08:00", "08:00-25:00", "08:00-24:30", "24:00-08:00", "08:00-08:00", "08:60-09:00")
        ),
        (x("portal_hours", "08:00-18:00"), "hub.yaml:4:5: connections.x.portal_hours: keys with values are expected"),
        (x("time_zone", "Berlin"), "hub.yaml:4:5: connections.x.time_zone: 'Berlin' is no IANA time zone"),
        (x("jitter", "-5s"), "hub.yaml:4:5: connections.x.jitter: must not be negative, as in 30s"),
        (x("polls_per_hour", "0"), "hub.yaml:4:5: connections.x.polls_per_hour: input should be greater than 0"),
        (
            x("holidays", "[24.12.2026]"),
            "hub.yaml:4:16: connections.x.holidays.0: '24.12.2026' is no date; write it as in 2026-12-25",
        ),
        (x("holidays_file", "none.txt"), "hub.yaml:4:5: connections.x.holidays_file: "),
        (
            x("business_hours", "{sat: 08:00-18:00}\n    submit_at: 0 9 * * mon-fri"),
            "hub.yaml:2:3: connections.x: by its hours and times it would never submit within a year",
        ),
        (
            x("portal_hours", "{sat: 08:00-18:00}\n    poll_at: 0 9 31 2 *"),
            "hub.yaml:2:3: connections.x: by its hours and times it would never poll within a year",
        ),
    ],
)
def test_a_fault_of_times_is_told_at_its_line(faults: Faults, text: str, expected: str) -> None:
    """Each kind of fault once, with what to write instead."""
    [told] = faults(text)
    assert told.startswith(expected)


def test_a_fault_in_the_file_of_holidays_is_told_at_its_line(faults: Faults, tmp_path: Path) -> None:
    """It is a file of the workspace like any other."""
    (tmp_path / "days.txt").write_text("2026-12-25\nBoxing Day\n", encoding="utf-8")
    assert ["days.txt:2:1: 'Boxing Day' is no date; write one in a line, as in 2026-12-25"] == faults(
        x("holidays_file", "days.txt")
    )
    (tmp_path / "days.txt").write_bytes(b"\xff\xfe")
    [told] = faults(x("holidays_file", "days.txt"))
    assert told.endswith("days.txt cannot be read: it is not UTF-8")


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("cut_off", "32", "input should be less than or equal to 31"),
        ("cut_off", "0", "input should be greater than or equal to 1"),
        ("send_within", "0d", "must be longer than nothing"),
        ("send_within", "a month", "'a month' is no duration"),
    ],
)
def test_a_deadline_that_is_none_is_refused(faults: Faults, key: str, value: str, told: str) -> None:
    """At its line, like the rest."""
    text = f"accounts:\n  a:\n    entity: e\n    customer: c\n    connection: x\n    {key}: {value}\n"
    assert faults(text)[0].startswith(f"hub.yaml:6:5: accounts.a.{key}: {told}")


def test_editors_know_the_keys_of_times() -> None:
    """The schema has them with examples of what is taken."""
    properties = json_schema()["$defs"]["ConnectionEntry"]["properties"]
    keys = {"submit_at", "poll_at", "jitter", "polls_per_hour", "business_hours", "holidays", "portal_hours"}
    assert keys <= properties.keys()
    assert {"send_within", "cut_off"} <= json_schema()["$defs"]["AccountEntry"]["properties"].keys()
