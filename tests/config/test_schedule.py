"""Hours, holidays, cron expressions and deadlines, over every odd zone."""

from __future__ import annotations

import datetime as dt
import itertools
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hub import schedule as times
from hub.schedule import Calendar, Schedule, Week, last_fire, next_fire, next_open, open_now, send_by, wait_told

BERLIN = ZoneInfo("Europe/Berlin")
MINUTE = dt.timedelta(minutes=1)
DAY = dt.timedelta(days=1)
# Zones that skip an hour, half an hour, midnight or a whole day, or whose offsets are no whole hours.
ZONES = [
    *("Europe/Berlin", "America/New_York", "America/Havana", "America/Sao_Paulo", "America/St_Johns", "Asia/Beirut"),
    *("Australia/Lord_Howe", "Pacific/Chatham", "Pacific/Apia", "Africa/Casablanca", "Africa/Cairo", "Asia/Kathmandu"),
    *("Europe/Dublin", "Antarctica/Troll", "Asia/Tehran", "UTC"),
]
# Around every change of the clocks in these years: there the odd cases are.
_CHANGES = {
    zone: [
        change
        for year in (2011, 2018, 2026)
        for day in range(366)
        for change in times._clock_change(
            ZoneInfo(zone),
            dt.datetime(year, 1, 1, tzinfo=dt.UTC) + day * DAY,
            dt.datetime(year, 1, 1, tzinfo=dt.UTC) + (day + 1) * DAY,
        )
    ]
    for zone in ZONES
}


def utc(*parts: int) -> dt.datetime:
    return dt.datetime(*parts, tzinfo=dt.UTC)  # type: ignore[arg-type, misc]


def berlin(*parts: int, fold: int = 0) -> dt.datetime:
    return dt.datetime(*parts, tzinfo=BERLIN, fold=fold).astimezone(dt.UTC)  # type: ignore[arg-type, misc]


def week(**days: str) -> Week:
    return tuple(times.spans_of(days[day]) if day in days else () for day in times.DAYS)


OFFICE = week(**dict.fromkeys(times.DAYS[:5], "08:00-18:00"))
NIGHTS = week(**dict.fromkeys(times.DAYS[:5], "22:00-06:00"))


@st.composite
def moments(draw: st.DrawFn) -> tuple[ZoneInfo, dt.datetime]:
    """A zone, and a moment near a change of its clocks or anywhere."""
    zone = draw(st.sampled_from(ZONES))
    anywhere = st.datetimes(dt.datetime(2010, 1, 1), dt.datetime(2035, 1, 1), timezones=st.just(dt.UTC))  # noqa: DTZ001
    if not _CHANGES[zone] or draw(st.booleans()):
        return ZoneInfo(zone), draw(anywhere)
    change = draw(st.sampled_from(_CHANGES[zone]))
    return ZoneInfo(zone), change + dt.timedelta(seconds=draw(st.integers(-2 * 86_400, 86_400)))


_spans = st.tuples(st.integers(0, 1439), st.integers(1, 1440)).map(lambda one: (one[0], one[0] + one[1]))
_weeks = st.tuples(*[st.lists(_spans, max_size=2).map(tuple)] * 7)


def _is_open_by_hand(calendar: Calendar, at: dt.datetime) -> bool:
    """The rule as a person would check it: list the hours of today and yesterday as texts of the wall clock."""
    wall = at.astimezone(calendar.zone).replace(tzinfo=None)
    for day in (wall.date() - DAY, wall.date()):
        for begin, end in calendar.week[day.weekday()]:
            midnight = dt.datetime.combine(day, dt.time())
            within = midnight + begin * MINUTE <= wall < midnight + end * MINUTE
            if within and not {day, wall.date()} & calendar.holidays:
                return True
    return False


@settings(max_examples=150, deadline=None)
@given(moments(), _weeks, st.sets(st.integers(-1, 3)))
def test_the_next_opening_is_the_first_open_moment(
    moment: tuple[ZoneInfo, dt.datetime], hours: Week, free: set[int]
) -> None:
    """In every zone and over every change of its clocks: open then, and at no minute before."""
    zone, at = moment
    calendar = Calendar(zone, hours, frozenset(at.date() + n * DAY for n in free))
    assert _is_open_by_hand(calendar, at) == open_now((calendar,), at)
    opens = next_open((calendar,), at)
    until = min(opens or at + 3 * DAY, at + 3 * DAY)
    begun = at.replace(second=0, microsecond=0) + MINUTE
    assert (opens == at) == _is_open_by_hand(calendar, at)
    if opens != at:
        passed = itertools.takewhile(lambda minute: minute < until, (begun + n * MINUTE for n in itertools.count()))
        assert [] == [minute for minute in passed if _is_open_by_hand(calendar, minute)]
    assert opens is None or _is_open_by_hand(calendar, opens)


_crons = st.sampled_from(
    ["0 8 * * mon-fri", "30 2 * * *", "*/20 9-16 * * *", "0 0 1 * *", "15 * * * sat,sun", "0 0 * * *", "*/7 * * * *"]
)


@settings(max_examples=100, deadline=None)
@given(moments(), _crons, _weeks, st.integers(0, 1800))
@example((ZoneInfo("America/Havana"), utc(2026, 3, 7, 12)), "0 0 * * *", times.ALWAYS, 0)
def test_fires_follow_each_other(moment: tuple[ZoneInfo, dt.datetime], cron: str, hours: Week, jitter: int) -> None:
    """The next is later and within the hours; and from then on, and not before, it is the last one."""
    zone, after = moment
    schedule = Schedule("submit:x", zone, MINUTE, cron, (Calendar(zone, hours),))
    fire = next_fire(schedule, after)
    if fire is None:
        return
    assert fire > after
    assert open_now(schedule.calendars, fire)
    assert fire == last_fire(schedule, fire) == last_fire(schedule, fire + dt.timedelta(milliseconds=1))
    before = last_fire(schedule, fire - dt.timedelta(milliseconds=1))
    assert before is None or before <= after
    late = Schedule("submit:x", zone, MINUTE, cron, (), dt.timedelta(seconds=jitter))
    came = last_fire(late, after)
    assert came is None or came <= after


def test_hours_that_cross_midnight_belong_to_the_day_they_begin_on() -> None:
    """Saturday at five is still Friday's night; Monday at five was Sunday's, which has none."""
    nights = (Calendar(BERLIN, NIGHTS),)
    friday, monday = (2026, 11, 20), (2026, 11, 23)
    assert open_now(nights, berlin(*friday, 22, 0))
    assert open_now(nights, berlin(2026, 11, 21, 5, 59))
    assert not open_now(nights, berlin(2026, 11, 21, 6, 0))
    assert not open_now(nights, berlin(*monday, 5, 0))
    assert berlin(*monday, 22, 0) == next_open(nights, berlin(2026, 11, 21, 6, 0))


def test_a_holiday_is_closed_and_so_is_the_night_that_begins_on_it() -> None:
    """Nothing goes on the date itself, nor in the hours that would begin on it."""
    christmas = frozenset({dt.date(2026, 12, 24)})
    nights = (Calendar(BERLIN, NIGHTS, christmas),)
    assert open_now(nights, berlin(2026, 12, 23, 23, 59))
    assert not open_now(nights, berlin(2026, 12, 24, 0, 0))
    assert not open_now(nights, berlin(2026, 12, 25, 2, 0))
    assert berlin(2026, 12, 25, 22, 0) == next_open(nights, berlin(2026, 12, 24, 0, 0))


def test_an_hour_that_is_skipped_opens_late_and_one_that_is_repeated_opens_twice() -> None:
    """On 29 March 2026 Berlin goes from two to three o'clock, on 25 October from three back to two."""
    calendar = (Calendar(BERLIN, week(sun="02:15-02:45")),)
    april = berlin(2026, 4, 5, 2, 15)
    assert april == next_open(calendar, berlin(2026, 3, 28, 12, 0))
    until_four = (Calendar(BERLIN, week(sun="02:15-04:00")),)
    assert berlin(2026, 3, 29, 3, 0) == next_open(until_four, berlin(2026, 3, 28, 12, 0))
    first, second = berlin(2026, 10, 25, 2, 15), berlin(2026, 10, 25, 2, 15, fold=1)
    assert dt.timedelta(hours=1) == second - first
    assert [first, second] == [next_open(calendar, first - MINUTE), next_open(calendar, first + 30 * MINUTE)]


def test_a_day_that_a_zone_skips_never_opens() -> None:
    """There was no 30 December 2011, a Friday, in Samoa."""
    apia = ZoneInfo("Pacific/Apia")
    calendar = (Calendar(apia, week(fri="09:00-17:00", sat="10:00-12:00")),)
    opens = next_open(calendar, dt.datetime(2011, 12, 29, 20, 0, tzinfo=apia).astimezone(dt.UTC))
    assert opens is not None
    assert dt.datetime(2011, 12, 31, 10, 0, tzinfo=apia) == opens


def test_all_calendars_must_be_open() -> None:
    """Business hours of ours and hours of the portal: what both have."""
    ours, theirs = Calendar(BERLIN, OFFICE), Calendar(ZoneInfo("America/New_York"), OFFICE)
    assert berlin(2026, 11, 23, 14, 0) == next_open((ours, theirs), berlin(2026, 11, 22, 9, 0))
    never = Calendar(BERLIN, week(sat="08:00-09:00"))
    assert None is next_open((ours, never), berlin(2026, 11, 22, 9, 0))
    assert berlin(2026, 11, 22, 9, 0) == next_open((), berlin(2026, 11, 22, 9, 0))


def schedule(cron: str | None = None, *calendars: Calendar, **more: dt.timedelta) -> Schedule:
    return Schedule("submit:north", BERLIN, dt.timedelta(seconds=5), cron, calendars, **more)


def test_times_that_were_slept_through_are_one() -> None:
    """However many have passed, the last of them is what counts."""
    twice_a_day = schedule("0 8,14 * * mon-fri")
    assert berlin(2026, 11, 20, 14, 0) == last_fire(twice_a_day, berlin(2026, 11, 23, 7, 59))
    assert berlin(2026, 11, 23, 8, 0) == last_fire(twice_a_day, berlin(2026, 11, 23, 13, 0))
    assert None is last_fire(schedule(), berlin(2026, 11, 23, 13, 0))
    assert berlin(2026, 1, 1, 0, 0) == last_fire(schedule("0 0 1 1 *"), berlin(2026, 11, 23, 7, 0))


def test_an_interval_waits_for_the_opening() -> None:
    """Every five seconds, and on Monday after Friday evening."""
    office = schedule(None, Calendar(BERLIN, OFFICE))
    assert berlin(2026, 11, 23, 9, 0, 5) == next_fire(office, berlin(2026, 11, 23, 9, 0))
    assert berlin(2026, 11, 23, 8, 0) == next_fire(office, berlin(2026, 11, 20, 18, 0))


def test_jitter_is_the_same_for_everybody_who_asks() -> None:
    """It is drawn from the schedule's name and the nominal time, so that no restart draws it anew."""
    spread = schedule("0 8 * * *", jitter=10 * MINUTE)
    nominal = berlin(2026, 11, 23, 8, 0)
    late = times.jitter_of(spread, nominal)
    assert dt.timedelta(0) < late < 10 * MINUTE
    assert nominal + late == last_fire(spread, nominal + late)
    assert last_fire(spread, nominal + late - dt.timedelta(milliseconds=1)) < nominal  # type: ignore[operator]
    assert len({times.jitter_of(spread, nominal + n * DAY) for n in range(9)}) == 9


@pytest.mark.parametrize(
    ("cron", "calendars", "ready", "at", "told"),
    [
        (None, (), (23, 9), (23, 9), None),
        (None, (OFFICE,), (23, 9), (23, 9), None),
        (None, (OFFICE,), (20, 9), (22, 9), "waits for business hours: opens Mon 08:00 Europe/Berlin"),
        ("0 14 * * *", (OFFICE,), (23, 9), (23, 10), "waits for its time: goes Mon 14:00 Europe/Berlin"),
        ("0 14 * * *", (OFFICE,), (23, 9), (23, 15), None),
        ("0 14 * * *", (OFFICE,), (23, 9), (23, 19), "waits for business hours: opens Tue 08:00 Europe/Berlin"),
        ("0 8 1 * *", (), (23, 9), (23, 10), "waits for its time: goes Tue 1 Dec 08:00 Europe/Berlin"),
    ],
)
def test_what_is_waited_for_is_told(
    cron: str | None, calendars: tuple[Week, ...], ready: tuple[int, int], at: tuple[int, int], told: str | None
) -> None:
    """In the words of a person, in the zone of the connection."""
    one = schedule(cron, *(Calendar(BERLIN, hours) for hours in calendars))
    assert told == wait_told(one, berlin(2026, 11, *ready), berlin(2026, 11, *at))


@pytest.mark.parametrize(
    ("issued", "within", "cut_off", "last"),
    [
        ("2026-11-03", None, None, None),
        ("2026-11-03", 30, None, "2026-12-03"),
        ("2026-11-03", None, 5, "2026-11-05"),
        ("2026-11-05", None, 5, "2026-11-05"),
        ("2026-11-06", None, 5, "2026-12-05"),
        ("2026-12-28", None, 5, "2027-01-05"),
        ("2026-02-10", None, 31, "2026-02-28"),
        ("2026-01-31", None, 30, "2026-02-28"),
        ("2026-11-06", 20, 5, "2026-11-26"),
        ("2026-11-06", 60, 5, "2026-12-05"),
    ],
)
def test_the_last_day_to_send(issued: str, within: int | None, cut_off: int | None, last: str | None) -> None:
    """So many days after the invoice's date, and no later than the next cut-off."""
    found = send_by(dt.date.fromisoformat(issued), None if within is None else dt.timedelta(days=within), cut_off)
    assert last == (found and found.isoformat())
