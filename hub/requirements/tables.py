"""Code tables: mappings/codes/*.csv, looked into by the first column. A workspace's table shadows the project's."""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hub.yamlsource import Place, Problem, SourceError

MAX_BYTES = 20_000_000
_HEADER = re.compile(r"# source: \S.*; date: \d{4}-\d{2}-\d{2}")
_SAID = "# source: WHERE IT IS FROM; date: 2026-11-01"


@dataclass(frozen=True)
class Table:
    """One table: its columns, each as key → cell, and a hash of the whole file."""

    name: str
    columns: dict[str, dict[str, str]]
    digest: str


def load_table(folders: Sequence[Path], name: str) -> Table:
    """The table called `name` (codes/uom.csv) from the last of the folders that has it.

    Raises SourceError, and FileNotFoundError where none has it.
    """
    found = next((file for folder in reversed(folders) if (file := folder / name).is_file()), None)
    if found is None:
        raise FileNotFoundError(f"there is no table {name!r} in {', '.join(map(str, folders))}")
    start = Place(str(found), 1, 1)
    with found.open("rb") as stream:
        content = stream.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise SourceError([Problem(start, f"larger than {MAX_BYTES:,} bytes; split it")])
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise SourceError([Problem(start._replace(line=line), "is not UTF-8; save the table as CSV UTF-8")]) from error
    first, _, rest = text.partition("\n")
    if not _HEADER.fullmatch(first.strip()):
        raise SourceError([Problem(start, f"the first line says where the table is from, as in {_SAID}")])
    return Table(name, _columns(_rows(rest, start)), hashlib.sha256(content).hexdigest())


def _rows(text: str, start: Place) -> list[tuple[Place, list[str]]]:
    """Every row that has something in it, and where it ends."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows = []
    try:
        for row in reader:
            cells = [cell.strip() for cell in row]
            if any(cells):
                rows.append((start._replace(line=reader.line_num + 1), cells))
    except csv.Error as error:
        raise SourceError([Problem(start._replace(line=reader.line_num + 1), f"is not CSV: {error}")]) from error
    if not rows:
        raise SourceError([Problem(start._replace(line=2), "the second line must name the columns, the key first")])
    return rows


def _columns(rows: list[tuple[Place, list[str]]]) -> dict[str, dict[str, str]]:
    (head, names), *body = rows
    if len(set(names)) < len(names) or "" in names or len(names) == 1:
        raise SourceError([Problem(head, "the columns need names, each once: the key first, then what it gives")])
    problems: list[Problem] = []
    lines: dict[str, int] = {}  # key → where it stands
    columns: dict[str, dict[str, str]] = {name: {} for name in names}
    for place, cells in body:
        key = cells[0]
        if len(cells) != len(names):
            problems.append(Problem(place, f"has {len(cells)} cells where the table has {len(names)} columns"))
        elif not key:
            problems.append(Problem(place, f"the key in column {names[0]!r} is empty"))
        elif key in lines:
            problems.append(Problem(place, f"the key {key!r} stands here twice (first in line {lines[key]}); keep one"))
        else:
            lines[key] = place.line
            for name, cell in zip(names, cells, strict=True):
                columns[name][key] = cell
    if problems:
        raise SourceError(problems)
    return columns
