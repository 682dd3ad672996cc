"""The kinds of checks a rule may ask for, and the conditions under which it asks. Each compiles to one function."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from typing import Annotated, Any, Self

import re2
from pydantic import BeforeValidator, Field, WithJsonSchema, field_validator, model_validator

from hub.requirements.layers import Keys, Plain
from hub.requirements.paths import Getter, Leaf, is_empty, text_of, typed

Check = Callable[[Any, dt.date], str]  # a value that is there, and today → what is wrong with it, or nothing

_FEW = 12
_LIMIT = re.compile(r"today(?:\s*([+-])\s*(\d{1,5}))?")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


def _pattern(regex: str) -> Any:
    """A regular expression of RE2: linear time, whatever the value. Raises ValueError."""
    options = re2.Options()
    options.log_errors = False
    options.max_mem = 1 << 20
    try:
        return re2.compile(regex, options)
    except re2.error as error:
        words = error.args[0].decode() if error.args and isinstance(error.args[0], bytes) else str(error)
        raise ValueError(f"is no regular expression of RE2: {words}") from None


def day(value: object) -> object:
    """YYYY-MM-DD as a date; nothing else is one."""
    if isinstance(value, str):
        if not _DAY.fullmatch(value):
            raise ValueError("is no date; write it as 2026-11-01")
        return dt.date.fromisoformat(value)
    return value


Day = Annotated[dt.date, BeforeValidator(day)]


def _limit(value: object) -> object:
    """`today`, `today-30`, `today+2` as a number of days from today; a date as a date."""
    if not isinstance(value, str):
        return value
    match = _LIMIT.fullmatch(value)
    if match:
        return int(f"{match[1] or '+'}{match[2] or 0}")
    if _DAY.fullmatch(value):
        return dt.date.fromisoformat(value)
    raise ValueError("is no limit; write today, today-30, today+2 or a date such as 2026-11-01")


Limit = Annotated[dt.date | int, BeforeValidator(_limit), WithJsonSchema({"type": "string"})]


class Format(Keys):
    """How a value must look, whole: like `regex`, and unlike `not_regex`; `example` is a right one, and proves it."""

    regex: Plain | None = None
    not_regex: Plain | None = None
    example: Plain

    @field_validator("regex", "not_regex")
    @classmethod
    def _compiles(cls, regex: str | None) -> str | None:
        if regex is not None:
            _pattern(regex)
        return regex

    @model_validator(mode="after")
    def _example_fits(self) -> Self:
        if self.regex is None and self.not_regex is None:
            raise ValueError("a format needs regex or not_regex")
        if self.check()(self.example, dt.date.min):
            raise ValueError(f"its own example {self.example!r} does not fit; mend the one or the other")
        return self

    def check(self) -> Check:
        """The check of one value."""
        # Bytes, because RE2 works on them: a str is encoded anyway, and its offsets then computed for nobody.
        like = _pattern(self.regex).fullmatch if self.regex is not None else None
        unlike = _pattern(self.not_regex).fullmatch if self.not_regex is not None else None
        wrong = f"a right one looks like {self.example}"

        def check(value: Any, _today: dt.date) -> str:
            content = (value if isinstance(value, str) else text_of(value)).encode()
            if (like and not like(content)) or (unlike and unlike(content)):
                return wrong
            return ""

        return check


class DateLimits(Keys):
    """When a date may lie. Limits are included."""

    not_before: Limit | None = None
    not_after: Limit | None = None
    max_age_days: Annotated[int, Field(ge=0, le=36_500)] | None = None
    no_future: bool = False

    @model_validator(mode="after")
    def _limits_something(self) -> Self:
        if not self._limits():
            raise ValueError("a date needs not_before, not_after, max_age_days or no_future: true")
        return self

    def _limits(self) -> list[tuple[int, dt.date | int]]:
        """Each limit with the side it cuts off: -1 for what is before it, 1 for what is after it."""
        age = None if self.max_age_days is None else -self.max_age_days
        limits = ((-1, self.not_before), (-1, age), (1, self.not_after), (1, 0 if self.no_future else None))
        return [(side, limit) for side, limit in limits if limit is not None]

    def check(self) -> Check:
        """The check of one date against today."""
        limits = self._limits()

        def check(value: Any, today: dt.date) -> str:
            if not isinstance(value, dt.date):
                return "this is no date; write it as 2026-11-01"
            for side, limit in limits:
                end = today + dt.timedelta(days=limit) if isinstance(limit, int) else limit
                if (value > end) if side > 0 else (value < end):
                    return f"{end.isoformat()} is the {'last' if side > 0 else 'first'} day allowed"
            return ""

        return check


class Condition(Keys):
    """When a rule asks at all: a field is one value, one of several, or is there at all."""

    field: Plain
    equals: Plain | None = None
    one_of: Annotated[tuple[Plain, ...], Field(min_length=1)] | None = None
    present: bool | None = None

    @model_validator(mode="after")
    def _one_test(self) -> Self:
        if sum(test is not None for test in (self.equals, self.one_of, self.present)) != 1:
            raise ValueError("a condition needs exactly one of equals, one_of and present")
        return self

    def test(self, value: Getter, leaf: Leaf) -> Callable[[Any], bool]:
        """The condition on what owns the field; raises ValueError where the words cannot be such a field's value."""
        if self.present is not None:
            wanted = not self.present
            return lambda owner: is_empty(value(owner)) is wanted
        if leaf is Leaf.PART:
            raise ValueError(f"{self.field!r} is no single value; only present: true or false can be asked of it")
        words = (self.equals,) if self.equals is not None else self.one_of or ()
        allowed = frozenset(typed(leaf, word) for word in words if word is not None)
        return lambda owner: value(owner) in allowed


def one_of(words: tuple[str, ...], leaf: Leaf) -> Check:
    """The check that a value is one of these; raises ValueError for a word that is no such value."""
    allowed = frozenset(typed(leaf, word) for word in words)
    wrong = f"allowed: {', '.join(words)}" if len(words) <= _FEW else f"it is none of the {len(words)} allowed"
    return lambda value, _today: "" if value in allowed else wrong


def max_length(most: int) -> Check:
    """The check that a value has at most so many characters."""
    return lambda value, _today: (
        "" if (has := len(text_of(value))) <= most else f"it has {has} characters, {most} are allowed"
    )
