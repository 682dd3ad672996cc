"""When a connection works: intervals, cron expressions, hours of the week in a time zone, holidays, deadlines. Pure.

Moments are UTC; whether it is open is decided by what a clock on the wall of the zone shows. So an hour that a zone
skips is never open, one that it repeats is open twice, and hours that cross midnight belong to the day they begin on.
"""

from __future__ import annotations

import calendar as months
import datetime as dt
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from zoneinfo import ZoneInfo

from apscheduler.triggers.cron import CronTrigger

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY = dt.timedelta(days=1)
_MINUTES = 1440  # of a day
_HORIZON = 400  # days: what does not come within them never comes
_TIME = r"([01]?\d|2[0-4]):([0-5]\d)"
_SPAN = re.compile(rf"\s*{_TIME}\s*-\s*{_TIME}\s*")
_WITH_NUMBERS = re.compile(r"\d")

Span = tuple[int, int]  # minutes since the midnight before; past 1440 it goes on in the next day
Week = tuple[tuple[Span, ...], ...]  # for each day from Monday on
ALWAYS: Week = (((0, _MINUTES),),) * 7


@dataclass(frozen=True)
class Calendar:
    """The hours of a week in a zone, and the dates on which they do not hold."""

    zone: ZoneInfo
    week: Week = ALWAYS
    holidays: frozenset[dt.date] = frozenset()
    called: str = "business hours"


@dataclass(frozen=True)
class Schedule:
    """When something is done: every so often, or at the times of a cron expression; while all its calendars are open.

    `jitter` puts each time of the cron expression off by up to so much, so that not everybody comes on the minute.
    """

    name: str  # unique in a workspace, as in submit:north
    zone: ZoneInfo
    every: dt.timedelta
    cron: str | None = None
    calendars: tuple[Calendar, ...] = ()
    jitter: dt.timedelta = dt.timedelta(0)


def days_of(text: str) -> tuple[int, ...]:
    """`mon-fri`, `sat`, `mon, wed` as numbers from Monday 0 on; raises ValueError."""
    found: list[int] = []
    for part in text.split(","):
        first, dash, last = (word.strip().lower() for word in part.partition("-"))
        if first not in DAYS or (dash and last not in DAYS):
            raise ValueError(f"{text!r} names no days; write them as in mon-fri, sat or mon, wed")
        begin, end = DAYS.index(first), DAYS.index(last or first)
        found += [day % 7 for day in range(begin, end + 1 if end >= begin else end + 8)]
    return tuple(found)


def spans_of(text: str) -> tuple[Span, ...]:
    """`08:00-12:00, 13:00-17:00` as minutes; `22:00-06:00` crosses midnight. Raises ValueError."""
    spans = []
    for part in text.split(","):
        match = _SPAN.fullmatch(part)
        begin, end = (int(match[n]) * 60 + int(match[n + 1]) for n in (1, 3)) if match else (0, 0)
        if begin == end or begin >= _MINUTES or end > _MINUTES:
            raise ValueError(f"{text!r} are no hours; write from-to as in 08:00-18:00, 22:00-06:00 or 00:00-24:00")
        spans.append((begin, end if end > begin else end + _MINUTES))
    return tuple(spans)


def cron_of(text: str) -> str:
    """A cron expression that means here what its author meant, whatever cron they know; raises ValueError.

    APScheduler judges the rest. Numbers for weekdays are refused, for they begin on Monday with APScheduler and on
    Sunday elsewhere, and so are a day of the month and weekdays at once, which elsewhere means either.
    """
    fields = text.split()
    if len(fields) != 5:  # noqa: PLR2004 - of the classical crontab
        raise ValueError(f"{text!r} is no cron expression; write minute hour day month weekday, as in 0 8 * * mon-fri")
    if _WITH_NUMBERS.search(fields[4].partition("/")[0]):
        raise ValueError(f"{text!r}: write weekdays as mon, tue …; their numbers differ from cron to cron")
    if fields[2] != "*" and fields[4] != "*":
        raise ValueError(f"{text!r}: give a day of the month or weekdays, not both; crons differ in what both mean")
    try:
        _trigger(text, ZoneInfo("UTC"))
    except ValueError as error:
        raise ValueError(f"{text!r} is no cron expression: {error}") from None
    return text


def open_now(calendars: tuple[Calendar, ...], at: dt.datetime) -> bool:
    """Whether all of them are open."""
    return all(_is_open(one, at) for one in calendars)


def _is_open(calendar: Calendar, at: dt.datetime) -> bool:
    wall = at.astimezone(calendar.zone)
    today, minute = wall.date(), wall.hour * 60 + wall.minute
    if today in calendar.holidays:
        return False
    yesterday = today - _DAY
    since_today = any(begin <= minute < end for begin, end in calendar.week[today.weekday()])
    since_yesterday = any(begin <= minute + _MINUTES < end for begin, end in calendar.week[yesterday.weekday()])
    return since_today or (since_yesterday and yesterday not in calendar.holidays)


def next_open(calendars: tuple[Calendar, ...], at: dt.datetime) -> dt.datetime | None:
    """The first moment from `at` on at which all are open; None if there is none in the next year."""
    moment: dt.datetime | None = at
    while moment is not None and moment < at + _HORIZON * _DAY:
        closed = next((one for one in calendars if not _is_open(one, moment)), None)
        if closed is None:
            return moment
        moment = _opens(closed, moment)
    return None


def _opens(calendar: Calendar, at: dt.datetime) -> dt.datetime | None:
    """The first opening behind `at`: where hours begin, or where a zone that moves its clocks comes into them."""
    for n in range(_HORIZON):
        begin, end = at + n * _DAY, at + (n + 1) * _DAY
        openings = [*_beginnings(calendar, begin, end), *_clock_change(calendar.zone, begin, end)]
        found = [moment for moment in openings if begin < moment <= end and _is_open(calendar, moment)]
        if found:
            return min(found)
    return None


def _beginnings(calendar: Calendar, begin: dt.datetime, end: dt.datetime) -> Iterator[dt.datetime]:
    """Every moment around here at which the wall shows the beginning of hours: none, one or two a day."""
    zone = calendar.zone
    day, last = begin.astimezone(zone).date() - _DAY, end.astimezone(zone).date() + _DAY
    while day <= last:
        for minute, _ in calendar.week[day.weekday()]:
            wall = dt.datetime.combine(day, dt.time(minute // 60, minute % 60))
            for fold in (0, 1):
                moment = wall.replace(tzinfo=zone, fold=fold).astimezone(dt.UTC)
                if moment.astimezone(zone).replace(tzinfo=None, fold=0) == wall:  # else the zone skips it
                    yield moment
        day += _DAY


def _clock_change(zone: ZoneInfo, begin: dt.datetime, end: dt.datetime) -> Iterator[dt.datetime]:
    """The moment between the two at which the zone moves its clocks, if it does; to the second."""
    after = end.astimezone(zone).utcoffset()
    if begin.astimezone(zone).utcoffset() == after:
        return
    low, high = int(begin.timestamp()), int(end.timestamp()) + 1
    while low < high:
        middle = (low + high) // 2
        if dt.datetime.fromtimestamp(middle, zone).utcoffset() == after:
            high = middle
        else:
            low = middle + 1
    yield dt.datetime.fromtimestamp(low, dt.UTC)


def next_fire(schedule: Schedule, after: dt.datetime) -> dt.datetime | None:
    """The first time behind `after` at which it is done, without jitter; None if there is none in the next year."""
    if schedule.cron is None:
        return next_open(schedule.calendars, after + schedule.every)
    moment = after
    while moment < after + _HORIZON * _DAY:
        fire = _next_cron(schedule.cron, schedule.zone, moment)
        opening = None if fire is None else next_open(schedule.calendars, fire)
        if opening is None or opening == fire:
            return fire if opening else None
        moment = opening - dt.timedelta(seconds=1)
    return None


def last_fire(schedule: Schedule, at: dt.datetime) -> dt.datetime | None:
    """The last time of its cron expression that has come by `at`, jitter and all, whoever noticed it.

    What was ready or asked before it, is due: so a time that was slept through is made up for once, and one that is
    noticed twice does nothing twice. None without a cron expression, and where there was no time in the last year.
    """
    if schedule.cron is None:
        return None
    fire = _last_nominal(schedule, at)
    while fire is not None and fire + jitter_of(schedule, fire) > at:
        fire = _last_nominal(schedule, fire - dt.timedelta(seconds=1))
    return None if fire is None else fire + jitter_of(schedule, fire)


@lru_cache(maxsize=256)
def _last_nominal(schedule: Schedule, at: dt.datetime) -> dt.datetime | None:
    """The last time that is not behind `at`, found by halving: APScheduler looks ahead only."""
    low, high = 0, _HORIZON * 86_400  # seconds back
    found = next_fire(schedule, at - dt.timedelta(seconds=high))
    if found is None or found > at:
        return None
    while high - low > 1:
        middle = (low + high) // 2
        fire = next_fire(schedule, at - dt.timedelta(seconds=middle))
        if fire is not None and fire <= at:
            high, found = middle, fire
        else:
            low = middle
    return found


def jitter_of(schedule: Schedule, nominal: dt.datetime) -> dt.timedelta:
    """How much later than its nominal time: the same in every process, and other for each time and schedule."""
    told = hashlib.sha256(f"{schedule.name} {nominal.astimezone(dt.UTC).isoformat()}".encode()).digest()
    return schedule.jitter * (int.from_bytes(told[:4]) / 2**32)


def _next_cron(cron: str, zone: ZoneInfo, after: dt.datetime) -> dt.datetime | None:
    """The first time of a cron expression behind `after`."""
    fire: dt.datetime | None = _trigger(cron, zone).get_next_fire_time(None, after + dt.timedelta(microseconds=1))
    return None if fire is None else fire.astimezone(dt.UTC)


@lru_cache(maxsize=256)
def _trigger(cron: str, zone: ZoneInfo) -> CronTrigger:
    return CronTrigger.from_crontab(cron, timezone=zone)


def wait_told(schedule: Schedule, ready_since: dt.datetime, at: dt.datetime) -> str | None:
    """What something that is ready waits for, in words; None if its time has come."""
    last = last_fire(schedule, at)
    if schedule.cron is not None and (last is None or ready_since > last):
        fire = next_fire(schedule, at)
        return f"waits for its time: goes {_told(fire, schedule.zone, at)}"
    closed = next((one for one in schedule.calendars if not _is_open(one, at)), None)
    if closed is None:
        return None
    return f"waits for {closed.called}: opens {_told(next_open(schedule.calendars, at), schedule.zone, at)}"


def _told(moment: dt.datetime | None, zone: ZoneInfo, at: dt.datetime) -> str:
    if moment is None:
        return "at no time in the next year; see hub.yaml"
    wall = moment.astimezone(zone)
    day = f"{wall:%a}" if moment < at + 6 * _DAY else f"{wall:%a} {wall.day} {wall:%b}"
    return f"{day} {wall:%H:%M} {zone.key}"


def send_by(issued: dt.date, within: dt.timedelta | None, cut_off: int | None) -> dt.date | None:
    """The last day on which an invoice may be sent: so long after its date, and no later than the next cut-off.

    A cut-off is a day of the month: the first such day on or after the invoice's date; in a short month its last day.
    """
    last = [issued + within] if within is not None else []
    if cut_off is not None:
        day = _in_month(issued.year, issued.month, cut_off)
        following = issued.replace(day=28) + dt.timedelta(days=4)
        last.append(day if day >= issued else _in_month(following.year, following.month, cut_off))
    return min(last, default=None)


def _in_month(year: int, month: int, day: int) -> dt.date:
    return dt.date(year, month, min(day, months.monthrange(year, month)[1]))
