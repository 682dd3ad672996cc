"""Reading XML by tables: each row says which field comes from which path; the tree is walked once.

What no row reads is not dropped in silence: it is left, with its place, and told (`Reading.left_out`).
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final, cast

from hub.sources.attachments import Blobs
from hub.sources.refused import Problem, Refused, refusal
from hub.sources.xml import Element

_MAX_NESTING = 12  # groups within groups: a line, its sub-lines, their parts
_MAX_LEFT_OUT = 200
_MAX_NOTED = 10_000  # of what is wrong or left; a file with more is no invoice with slips
_MAX_PARTS = 500_000  # groups and values of lists; 100,000 lines have about 400,000
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)")  # xs:decimal; no exponent, no separators
_DAY = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})(?:Z|[+-][0-9]{2}:[0-9]{2})?")  # xs:date, its zone says nothing here
_DAY_102 = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})")  # UNTDID 2379, format 102

Fields = dict[str, Any]  # one group of fields on its way into the model, which validates it


@dataclass
class Reading:
    """One document while it is read: what is wrong, what is left, what it names."""

    blobs: Blobs = field(default_factory=Blobs)
    problems: list[Problem] = field(default_factory=list)
    left: list[Element] = field(default_factory=list)
    currencies: dict[str, Element] = field(default_factory=dict)  # each with the first amount in it
    places: dict[str, list[int]] = field(default_factory=dict)  # group → the lines its elements begin at
    failed: set[str] = field(default_factory=set)  # paths of elements whose value was refused
    nesting: int = 0
    parts: int = 0

    def problem(self, element: Element, reason: object) -> None:
        """Note what is wrong at `element`."""
        path = path_of(element)
        self.failed.add(path)
        shown = "/".join(path.split("/")[-2:])
        self.problems.append(Problem(f"{shown}: {reason}", f"line {element.sourceline}"))
        if len(self.problems) >= _MAX_NOTED:
            raise refusal(self.problems)

    def leave(self, element: Element) -> None:
        """Note that no field holds `element`."""
        if len(self.left) < _MAX_NOTED:
            self.left.append(element)

    def count(self, element: Element) -> None:
        """Count a part of the document. Raises Refused where there are more than any invoice has."""
        self.parts += 1
        if self.parts > _MAX_PARTS:
            raise Refused(f"the document has more than {_MAX_PARTS:,} parts", f"line {element.sourceline}")

    def left_out(self) -> tuple[str, ...]:
        """Every element with content that no field holds, with its line, topmost first."""
        told = [e for e in self.left if isinstance(e.tag, str) and any(t.strip() for t in e.itertext())]
        return tuple(f"line {element.sourceline}: {path_of(element)}" for element in told[:_MAX_LEFT_OUT])


Take = Callable[[str, Element, Reading], Any]
Finish = Callable[[Fields, Element, Fields, Reading], None]
Step = Callable[[Reading, Element, Fields], None]
Steps = Mapping[str, Step]


def local(element: Element) -> str:
    """An element's name without its namespace."""
    return str(element.tag).rpartition("}")[2]


def path_of(element: Element) -> str:
    """Where an element stands, by local names below the root."""
    above = [local(parent) for parent in element.iterancestors()]
    return "/".join([*reversed(above[:-1]), local(element)])


# How a value is taken from its element: (text, element, reading) -> value. Each raises ValueError.


def text(raw: str, _: Element, __: Reading) -> str:
    """The text itself."""
    return raw


def number(raw: str, _: Element, __: Reading) -> Decimal:
    """A decimal number, written as XML Schema has it."""
    if _NUMBER.fullmatch(raw) is None:
        raise ValueError(f"{raw[:40]!r} is no number; write it with a point and without separators, as in 1234.50")
    return Decimal(raw)


def amount(raw: str, element: Element, reading: Reading) -> Decimal:
    """An amount; the currency it names is compared with the invoice's at the end."""
    if (currency := element.get("currencyID")) is not None and currency not in reading.currencies:
        reading.currencies[currency] = element
    return number(raw, element, reading)


def identifier(raw: str, element: Element, _: Reading) -> Fields:
    """An identifier with the scheme that issued it."""
    return {"value": raw, "scheme": element.get("schemeID")}


def classification(raw: str, element: Element, _: Reading) -> Fields:
    """A classification code with its list (BT-158-1)."""
    return {"value": raw, "scheme": element.get("listID")}


def flag(raw: str, _: Element, __: Reading) -> bool:
    """An xs:boolean."""
    try:
        return {"true": True, "1": True, "false": False, "0": False}[raw]
    except KeyError:
        raise ValueError(f"{raw[:40]!r} is neither true nor false") from None


def day(raw: str, _: Element, __: Reading) -> dt.date:
    """An xs:date."""
    found = _DAY.fullmatch(raw)
    try:
        return dt.date.fromisoformat(found[1] if found else "")
    except ValueError:
        raise ValueError(f"{raw[:40]!r} is no date; write it as in 2026-10-31") from None


def day_102(raw: str, element: Element, _: Reading) -> dt.date:
    """A date in UN/CEFACT's format 102, the only one EN 16931 allows in CII."""
    stated = element.get("format", "102")
    found = _DAY_102.fullmatch(raw) if stated == "102" else None
    try:
        return dt.date.fromisoformat("-".join(found.groups()) if found else "")
    except ValueError:
        raise ValueError(f"{raw[:40]!r} (format {stated}) is no date; write it as in 20261031, format 102") from None


@dataclass(frozen=True)
class Row:
    """A field and the path it comes from.

    `field` may be dotted (`address.city`), a list (`lines[]`), a text that repeats (`description+`), or "" for what is
    known and needs no field. `path` may end in `/@attribute`.
    """

    field: str
    path: str
    take: Take = text


SELF: Final = ()  # a group's rows are the table it stands in (sub-lines)


@dataclass(frozen=True)
class Group:
    """A group of fields below one path, read by its own rows; `finish` settles what no single row can."""

    field: str
    path: str
    rows: tuple[Row | Group, ...]
    finish: Finish | None = None


Table = Iterable[Row | Group]


def compiled(table: Table, namespaces: Mapping[str, str]) -> Steps:
    """The steps that walk a tree by `table`; `namespaces` gives its prefixes."""
    rows = list(table)
    steps: dict[str, Step] = {}
    by_first: dict[str, list[Row | Group]] = {}
    for row in rows:
        by_first.setdefault(row.path.split("/", 1)[0], []).append(row)
    for first, below in by_first.items():
        prefix, name = first.split(":")
        steps[f"{{{namespaces[prefix]}}}{name}"] = _step(first, below, namespaces, steps)
    return steps


def _step(first: str, below: list[Row | Group], namespaces: Mapping[str, str], around: Steps) -> Step:
    here = [row for row in below if row.path == first]
    attributes = {row.path.rpartition("@")[2]: row.field for row in below if row.path.startswith(f"{first}/@")}
    deeper = [row for row in below if row.path != first and not row.path.startswith(f"{first}/@")]
    if not here:
        inner = compiled([_without(row, len(first) + 1) for row in deeper], namespaces)
        return lambda reading, element, out: walk(reading, element, inner, out)
    if len(here) > 1 or deeper:
        raise ValueError(f"{first} is both read and walked into")  # a slip in a table, seen at import
    row = here[0]
    if isinstance(row, Group):
        return _group(row, compiled(row.rows, namespaces) if row.rows is not SELF else around)
    return _leaf(row, attributes) if row.field else lambda _, __, ___: None


def _without(row: Row | Group, start: int) -> Row | Group:
    if isinstance(row, Group):
        return Group(row.field, row.path[start:], row.rows, row.finish)
    return Row(row.field, row.path[start:], row.take)


def walk(reading: Reading, element: Element, steps: Steps, out: Fields) -> None:
    """Read all children of `element` into `out`."""
    find = steps.get
    for child in element:
        step = find(child.tag)
        if step is None:
            reading.leave(child)
        else:
            step(reading, child, out)


def _leaf(row: Row, attributes: Mapping[str, str]) -> Step:
    *above, name = row.field.split(".")
    add = _append if name.endswith("[]") else _join if name.endswith("+") else None
    take = None if row.take is text else row.take
    name, targets = name.rstrip("[]+"), tuple(attributes.items())

    def step(reading: Reading, element: Element, out: Fields) -> None:
        raw = element.text
        if raw is None or not (raw := raw.strip()) or len(element):
            reading.leave(element)  # told only if something stands in it
            return
        try:
            value = raw if take is None else take(raw, element, reading)
        except ValueError as wrong:
            reading.problem(element, wrong)
            return
        for part in above:
            out = out.setdefault(part, {})
        if add is not None:
            reading.count(element)
            add(out, name, value)
        elif (held := out.setdefault(name, value)) is not value and held != value:
            reading.leave(element)
        for attribute, target in targets:
            if (stated := element.get(attribute)) is not None:
                out.setdefault(target, stated)

    return step


def _group(group: Group, steps: Steps) -> Step:
    *above, name = group.field.split(".")
    many = name.endswith("[]")
    name, finish = name.rstrip("[]"), group.finish

    def step(reading: Reading, element: Element, out: Fields) -> None:
        if reading.nesting >= _MAX_NESTING:
            raise Refused(f"groups nest deeper than {_MAX_NESTING} levels", f"line {element.sourceline}")
        reading.count(element)
        reading.nesting += 1
        inside: Fields = {}
        walk(reading, element, steps, inside)
        if finish is not None:
            finish(inside, element, out, reading)
        reading.nesting -= 1
        if not inside or not name:
            return
        if not reading.nesting:
            reading.places.setdefault(name, []).append(cast("int", element.sourceline))
        for part in above:
            out = out.setdefault(part, {})
        if many:
            out.setdefault(name, []).append(inside)
        elif out.setdefault(name, inside) is not inside:
            reading.leave(element)

    return step


def _append(out: Fields, name: str, value: object) -> None:
    out.setdefault(name, []).append(value)


def _join(out: Fields, name: str, value: str) -> None:
    out[name] = f"{out[name]}\n{value}" if name in out else value


def paths(table: Table, above: str = "", prefix: str = "") -> dict[str, str]:
    """Field → path of every row, for messages that must say where a missing field is looked for."""
    found: dict[str, str] = {}
    for row in table:
        name = f"{prefix}{row.field}".replace("[]", "").rstrip("+")
        path = f"{above}{row.path}"
        if row.field:
            found.setdefault(name, path)
        if isinstance(row, Group):
            found = paths(row.rows, f"{path}/", f"{name}." if row.field else prefix) | found
    return found
