"""What the model says against some fields, in a clerk's words."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from pydantic import ValidationError

from hub.sources.refused import Problem
from hub.sources.terms import term

_PREFIX = re.compile(r"\b[a-z]{3}:")  # of a namespace
_MOST = 10_000  # errors that are worth telling one by one
_LONGEST = 80  # characters of a wrong value that are shown


Places = Mapping[str, list[int]]


def problems_of(
    wrong: ValidationError,
    paths: Mapping[str, str],
    places: Places | None = None,
    failed: Collection[str] = (),
) -> list[Problem]:
    """Every error of a validation: the term, the value, where it stands and where a missing one is looked for.

    `paths` gives the source's path of a field, `places` the source's line of a group; a field that is missing because
    its value was refused (`failed`, by path) is not told again.
    """
    if (number := wrong.error_count()) > _MOST:
        return [Problem(f"{number:,} fields are missing or wrong; this is no invoice with slips, so export it again")]
    errors = wrong.errors(include_url=False, include_context=False)
    found = (_problem(error, paths, places or {}, failed) for error in errors)
    return [problem for problem in found if problem is not None]


def _problem(error: Any, paths: Mapping[str, str], places: Places, failed: Collection[str]) -> Problem | None:
    steps: tuple[str | int, ...] = error["loc"]
    field = ".".join(step for step in steps if isinstance(step, str))
    source = f"; it is read from {paths[field]}" if field in paths else ""
    place = _place(steps, places)
    if error["type"] == "missing" or error["input"] in ({}, [], ()):
        again = _PREFIX.sub("", paths.get(field, "")) in failed
        return None if again else Problem(f"the {term(field)} is missing{source}", place)
    if error["type"] == "extra_forbidden":
        return Problem("no invoice has this field; check its spelling against invoice.schema.json", place)
    return Problem(f"the {term(field)} {_shown(error['input'])}: {error['msg']}{source}", place)


def _place(steps: tuple[str | int, ...], places: Places) -> str:
    lines = places.get(str(steps[0]), []) if steps else []
    index = steps[1] if len(steps) > 1 and isinstance(steps[1], int) else 0
    if index < len(lines):
        return f"line {lines[index]}"
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps).lstrip(".")


def _shown(value: object) -> str:
    text = repr(str(value))
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
