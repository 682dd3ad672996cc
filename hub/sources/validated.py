"""What the model says against some fields, in a clerk's words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from hub.sources.refused import Problem
from hub.sources.terms import term

_LONGEST = 80  # characters of a wrong value that are shown


def problems_of(wrong: ValidationError, paths: Mapping[str, str], places: Places | None = None) -> list[Problem]:
    """Every error of a validation: the term, the value, where it stands and where a missing one is looked for.

    `paths` gives the source's path of a field; `places` the source's line of a group.
    """
    return [_problem(error, paths, places or {}) for error in wrong.errors(include_url=False, include_context=False)]


Places = Mapping[str, list[int]]


def _problem(error: Any, paths: Mapping[str, str], places: Places) -> Problem:
    steps: tuple[str | int, ...] = error["loc"]
    field = ".".join(step for step in steps if isinstance(step, str))
    path = f"; it is read from {paths[field]}" if field in paths else ""
    place = _place(steps, places)
    if error["type"] == "missing" or error["input"] in ({}, [], ()):
        return Problem(f"the {term(field)} is missing{path}", place)
    if error["type"] == "extra_forbidden":
        return Problem("no invoice has this field; check its spelling against invoice.schema.json", place)
    return Problem(f"the {term(field)} {_shown(error['input'])}: {error['msg']}{path}", place)


def _place(steps: tuple[str | int, ...], places: Places) -> str:
    lines = places.get(str(steps[0]), []) if steps else []
    index = steps[1] if len(steps) > 1 and isinstance(steps[1], int) else 0
    if index < len(lines):
        return f"line {lines[index]}"
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps).lstrip(".")


def _shown(value: object) -> str:
    text = repr(str(value))
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
