"""Why a file is not taken in: every reason at once, each with its place, in a clerk's words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

_SHOWN = 50  # of one file's problems; more help nobody


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong in a file, and where."""

    reason: str
    place: str | None = None  # "line 12" of an XML, "lines[3].net" of a JSON

    def __str__(self) -> str:
        return f"{self.place}: {self.reason}" if self.place else self.reason


class Refused(Exception):
    """This file was not taken in. `reason` says why, `place` where; str() names the file too.

    `unfinished`: it ends in the middle, so that it may merely not be written to its end yet.
    """

    def __init__(self, reason: str, place: str | None = None, name: str = "", *, unfinished: bool = False) -> None:
        super().__init__(reason, place, name)
        self.reason = reason
        self.place = place
        self.name = name
        self.unfinished = unfinished

    def __str__(self) -> str:
        place = None if "\n" in self.reason else self.place  # of several problems each names its own
        return ": ".join(part for part in (self.name, place, self.reason) if part)


def refusal(problems: Sequence[Problem]) -> Refused:
    """One refusal that lists all `problems`; its place is the first one's."""
    if len(problems) == 1:
        return Refused(problems[0].reason, problems[0].place)
    shown = [f"\n  - {problem}" for problem in problems[:_SHOWN]]
    more = f"\n  - and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
    first = next((problem.place for problem in problems if problem.place), None)
    return Refused(f"{len(problems)} things are wrong; correct them at the source:{''.join(shown)}{more}", first)
