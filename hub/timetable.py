"""What hub.yaml says of a connection's times, as the two schedules that the hub works by."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from pathlib import Path
from zoneinfo import ZoneInfo

from hub.hubfile import ConnectionEntry
from hub.schedule import ALWAYS, DAYS, Calendar, Schedule, Week, days_of, next_fire, spans_of
from hub.yamlsource import Path_, Place, Problem, Source, SourceError, shown


def schedules(
    key: str, entry: ConnectionEntry, zone: ZoneInfo, source: Source, workspace: Path
) -> tuple[Schedule, Schedule]:
    """When a connection submits and when it polls; `zone` is the workspace's. Raises SourceError."""
    at: Path_ = ("connections", key)
    problems = list(_two_of_a_kind(key, entry, source))
    holidays = _holidays(entry, source, (*at, "holidays_file"), workspace, problems)
    zone = entry.time_zone or zone
    portal = [Calendar(zone, _week(entry.portal_hours), called="the portal's hours")] if entry.portal_hours else []
    polling = Schedule(f"poll:{key}", zone, entry.poll_every, entry.poll_at, tuple(portal), entry.jitter)
    hours = _week(entry.business_hours) if entry.business_hours else ALWAYS
    business = [Calendar(zone, hours, holidays)] if entry.business_hours or holidays else []
    calendars = (*portal, *business)
    submitting = Schedule(f"submit:{key}", zone, entry.submit_every, entry.submit_at, calendars, entry.jitter)
    now = dt.datetime.now(dt.UTC)
    problems += [
        Problem(source.place(at), f"connections.{key}: by its hours and times it would never {verb} within a year")
        for verb, schedule in (("submit", submitting), ("poll", polling))
        if next_fire(schedule, now) is None
    ]
    if problems:
        raise SourceError(problems)
    return submitting, polling


def _two_of_a_kind(key: str, entry: ConnectionEntry, source: Source) -> Iterator[Problem]:
    for verb in ("submit", "poll"):
        if {f"{verb}_every", f"{verb}_at"} <= entry.model_fields_set:
            place = source.place(("connections", key, f"{verb}_at"))
            yield Problem(place, f"connections.{key}: give {verb}_every or {verb}_at, not both")


def _week(hours: Mapping[str, str]) -> Week:
    """The hours of each day."""
    spans: list[list[tuple[int, int]]] = [[] for _ in DAYS]
    for days, written in hours.items():
        for day in days_of(days):
            spans[day] += spans_of(written)
    return tuple(map(tuple, spans))


def _holidays(
    entry: ConnectionEntry, source: Source, at: Path_, workspace: Path, problems: list[Problem]
) -> frozenset[dt.date]:
    """Those of hub.yaml, and those of a file with one date in a line; what stands behind # is for people."""
    dates = set(entry.holidays)
    if entry.holidays_file is None:
        return frozenset(dates)
    path = workspace / entry.holidays_file
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        problems.append(Problem(source.place(at), f"{'.'.join(map(str, at))}: {path} cannot be read: {why}"))
        lines = []
    for number, line in enumerate(lines, 1):
        written = line.partition("#")[0].strip()
        try:
            dates |= {dt.date.fromisoformat(written)} if written else set()
        except ValueError:
            told = f"{shown(written)} is no date; write one in a line, as in 2026-12-25"
            problems.append(Problem(Place(str(path), number, 1), told))
    return frozenset(dates)
