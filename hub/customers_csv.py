"""The customer list as CSV: what hub.yaml says under `customers` and `accounts`, one row an account.

Columns: customer, name, owner, id:SCHEME (the customer's identifiers); account, entity, connection, portal_customer,
time_zone, account:NAME (the account's identifiers). A customer with two accounts has two rows; what the second
leaves empty the first has said. Text is text: a cell that looks like a formula is what it says.
"""

from __future__ import annotations

import csv
import io
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from hub.yamlsource import MAX_PROBLEMS, Path_, Place, Problem, Source, SourceError, did_you_mean, shown

MAX_BYTES = 5_000_000
MAX_ROWS = 100_000
# Each column and the keys of hub.yaml that it fills; `id:` and `account:` fill the identifiers.
_OF_CUSTOMER = ("name", "owner")
_OF_ACCOUNT = ("entity", "connection", "portal_customer", "time_zone")
_NEEDED_BY_ACCOUNT = ("account", "entity", "connection")
_COLUMNS = ("customer", "account", *_OF_CUSTOMER, *_OF_ACCOUNT)


class _Cell(NamedTuple):
    column: str
    text: str
    place: Place  # its column counts cells, not characters


@dataclass(frozen=True)
class CustomerList:
    """A customer list in the form of hub.yaml, so that one set of models and checks judges both."""

    source: Source  # {"customers": {...}, "accounts": {...}}
    columns: tuple[str, ...]

    def named(self, problem: Problem) -> Problem:
        """The problem with the name of its column."""
        column = self.columns[problem.place.column - 1]
        return Problem(problem.place, f"column {column!r}: {problem.message}")

    def by_customer(self) -> dict[str, tuple[Any, dict[str, Any]]]:
        """All that the list says of each customer: its own facts and its accounts, for comparing."""
        said: dict[str, tuple[Any, dict[str, Any]]] = {
            k: (facts, {}) for k, facts in self.source.data["customers"].items()
        }
        for key, account in self.source.data["accounts"].items():
            said.setdefault(account["customer"], (None, {}))[1][key] = account
        return said


def read_customers_csv(file: Path, *, name: str | None = None) -> CustomerList:
    """Read a customer list; `name` is how errors call it. Raises SourceError."""
    name = name or str(file)
    return parse_customers_csv(csv_content(file, name), name)


def csv_content(file: Path, name: str) -> bytes:
    """The bytes of a list of bearable size; raises SourceError."""
    try:
        with file.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise SourceError([Problem(Place(name, 1, 1), f"cannot be read: {error.strerror}")]) from error
    if len(content) > MAX_BYTES:
        raise SourceError([Problem(Place(name, 1, 1), f"larger than {MAX_BYTES:,} bytes; split it")])
    return content


def parse_customers_csv(content: bytes, name: str) -> CustomerList:
    """A customer list: UTF-8, comma or semicolon. Raises SourceError with every problem, its line and column."""
    records = csv_records(content, name)
    line, first = next(records, (1, []))
    columns = tuple(_column(cell) for cell in first)
    if wrong := list(_wrong_columns(columns, name, line)):
        raise SourceError(wrong)  # under a wrong header, every row would be wrong
    reading = _Reading(name, columns)
    for line, cells in records:
        reading.add(line, cells)
        if len(reading.problems) > MAX_PROBLEMS:
            reading.problems.append(
                Problem(Place(name, line + 1, 1), "reading stopped here; mend the lines above first")
            )
            break
    if reading.problems:
        raise SourceError(reading.problems)
    return CustomerList(Source(name, reading.data, reading.places), columns)


def _decoded(content: bytes, name: str) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        place = Place(name, content.count(b"\n", 0, error.start) + 1, 1)
        raise SourceError([Problem(place, "is not UTF-8; save it as CSV UTF-8")]) from error


def csv_records(content: bytes, name: str) -> Iterator[tuple[int, list[str]]]:
    """Each record that is not empty, the header first, with the line it begins in. Raises SourceError."""
    text = _decoded(content, name)
    header = text.lstrip().partition("\n")[0]
    delimiter = ";" if header.count(";") > header.count(",") else ","
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    count, line = 0, 1
    try:
        for record in reader:
            if any(cell.strip() for cell in record):
                yield line, record
                count += 1
            if count > MAX_ROWS + 1:
                raise SourceError([Problem(Place(name, line, 1), f"more than {MAX_ROWS:,} rows; split the list")])
            line = reader.line_num + 1
    except csv.Error as error:
        raise SourceError([Problem(Place(name, line, 1), f"is not CSV: {error}; look at the quotes")]) from error


def _column(cell: str) -> str:
    """A column's name as it is compared: `ID: VAT` is `id:vat`; the name behind `account:` keeps its case."""
    prefix, colon, rest = cell.strip().partition(":")
    prefix, rest = prefix.strip().casefold(), rest.strip()
    return f"{prefix}{colon}{rest.casefold() if prefix == 'id' else rest}"


def _wrong_columns(columns: tuple[str, ...], name: str, line: int) -> Iterator[Problem]:
    for number, column in enumerate(columns, 1):
        prefix, colon, rest = column.partition(":")
        if not (column in _COLUMNS or (prefix in ("id", "account") and rest)):
            known = [f"{word}:{rest or 'NAME'}" for word in ("id", "account")] if colon else _COLUMNS
            yield Problem(Place(name, line, number), f"unknown column {column!r}{did_you_mean(column, known)}")
        elif column in columns[: number - 1]:
            yield Problem(Place(name, line, number), f"the column {column!r} stands here twice; keep one")
    if "customer" not in columns:
        yield Problem(Place(name, line, 1), f"the column 'customer' is missing; known are {', '.join(_COLUMNS)}")


class _Reading:
    """What the rows read so far say, and what is wrong with them."""

    def __init__(self, name: str, columns: tuple[str, ...]) -> None:
        self.data: dict[str, dict[str, Any]] = {"customers": {}, "accounts": {}}
        self.places: dict[Path_, Place] = {}
        self.problems: list[Problem] = []
        self._name = name
        self._columns = columns
        self._said: dict[tuple[str, str], _Cell] = {}  # by customer and column

    def add(self, line: int, cells: list[str]) -> None:
        """Add what one row says of its customer and its account."""
        start = Place(self._name, line, 1)
        if len(cells) != len(self._columns):
            counts = f"{len(cells)} cells, but the header {len(self._columns)}"
            self.problems.append(Problem(start, f"has {counts}; a text with a separator in it needs quotes"))
            return
        row = self._row(line, cells)
        if "customer" not in row:
            self.problems.append(Problem(start, "column 'customer': the customer's key is missing"))
            return
        customer = [cell for cell in row.values() if cell.column in _OF_CUSTOMER or cell.column.startswith("id:")]
        account = [cell for cell in row.values() if cell.column in _OF_ACCOUNT or cell.column.startswith("account")]
        if customer:
            self._add_customer(row["customer"], customer)
        if account:
            self._add_account(row, account)
        if not customer and not account:
            told = f"nothing is said of {shown(row['customer'].text)} but its key; give it a name"
            self.problems.append(Problem(start, told))

    def _row(self, line: int, cells: list[str]) -> dict[str, _Cell]:
        row = {}
        for number, (column, text) in enumerate(zip(self._columns, map(str.strip, cells), strict=True), 1):
            cell = _Cell(column, text, Place(self._name, line, number))
            if any(unicodedata.category(letter) == "Cc" for letter in text):
                self._complain(cell, f"{shown(text)} has a line break or another control character; take it out")
            if text:
                row[column] = cell
        return row

    def _add_customer(self, key: _Cell, facts: list[_Cell]) -> None:
        customer = self.data["customers"].setdefault(key.text, {"identifiers": {}})
        self.places.setdefault(("customers", key.text), key.place)
        for fact in facts:
            first = self._said.setdefault((key.text, fact.column), fact)
            if first is fact:
                self._put(customer, fact, "customers", key.text)
            elif first.text != fact.text:
                told = f"line {first.place.line} says {shown(first.text)} of the same customer {shown(key.text)}"
                self._complain(fact, f"{shown(fact.text)}, but {told}; make them agree")

    def _add_account(self, row: dict[str, _Cell], facts: list[_Cell]) -> None:
        missing = [column for column in _NEEDED_BY_ACCOUNT if column not in row]
        for column in missing:
            at = facts[0].place
            self.problems.append(Problem(at, f"column {column!r}: is missing or empty, but an account needs it"))
        if missing:
            return
        customer, key = row["customer"], row["account"]
        if key.text in self.data["accounts"]:
            first = self.places["accounts", key.text].line
            self._complain(key, f"the account {shown(key.text)} stands in line {first} already; each has its own key")
            return
        account = self.data["accounts"][key.text] = {"customer": customer.text, "identifiers": {}}
        self.places["accounts", key.text] = key.place
        self.places["accounts", key.text, "customer"] = customer.place
        for fact in facts:
            if fact is not key:
                self._put(account, fact, "accounts", key.text)

    def _put(self, owner: dict[str, Any], fact: _Cell, *at: str) -> None:
        """Put a cell where hub.yaml would have it."""
        _, _, name = fact.column.partition(":")
        if name:
            owner["identifiers"][name] = fact.text
            self.places[*at, "identifiers", name] = fact.place
        else:
            owner[fact.column] = fact.text
            self.places[*at, fact.column] = fact.place

    def _complain(self, cell: _Cell, told: str) -> None:
        self.problems.append(Problem(cell.place, f"column {cell.column!r}: {told}"))
