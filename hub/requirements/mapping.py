"""Mappings: what a portal is given besides the invoice itself, as analysts write it in mappings/<portal>/*.yaml.

Identifiers, codes and extras come out as text (dates ISO, numbers plain); amounts and dates stay the invoice's own.
Layers lie over each other as those of rules do; an upper layer's entry replaces the lower one's. What a portal needs
and nobody knows holds the invoice, all of it at once.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from hub.contract.invoice import Invoice
from hub.requirements.extensions import Vocabulary, load_extensions
from hub.requirements.finding import Finding, Severity
from hub.requirements.layers import (
    JSON_SCHEMA,
    Fields,
    Keys,
    Layer,
    Plain,
    Scope,
    Words,
    layer_files,
    read_layers,
    spelled,
)
from hub.requirements.paths import Facts, FieldPath, Leaf, Root, field_path
from hub.requirements.tables import Table, load_table
from hub.yamlsource import Place, Problem, SourceError, did_you_mean

LINES = "lines[]"

_CHANGES: dict[str, Callable[[str], str]] = {
    "trim": str.strip,
    "upper": str.upper,
    "lower": str.lower,
    "digits": lambda text: "".join(char for char in text if char in "0123456789"),
}

Name = Annotated[
    str, spelled(r"[^\x00-\x1f]{1,100}", "cannot name a field; write it in one line of 1 to 100 characters")
]
TableName = Annotated[str, spelled(r"codes/[A-Za-z0-9_-]{1,100}\.csv", "is no table; write it as in codes/uom.csv")]


class Lookup(Keys):
    """A code table to look into: the row whose first column is `key`'s value, and the cell in `column`."""

    table: TableName
    key: Plain
    column: Plain
    missing: Literal["error", "keep", "empty"] = "error"  # a value that the table does not have


class Entry(Keys):
    """Where one field comes from: `const`; or the first that has it of `lookup`, `from` in its order, and `default`."""

    sources: Annotated[Fields, Field(alias="from")] = ()
    const: Plain | None = None
    lookup: Lookup | None = None
    do: tuple[Literal["trim", "upper", "lower", "digits"], ...] = ()
    default: Plain | None = None
    required: bool = False
    label: Words | None = None  # what people call it, for findings
    fix: Words | None = None
    off: bool = False  # takes away what a lower layer gives

    @model_validator(mode="after")
    def _has_a_source(self) -> Self:
        others = bool(self.sources) or self.lookup is not None or self.default is not None
        if self.const is not None and others:
            raise ValueError("const stands alone; from, lookup and default would never be asked")
        if self.const is None and not others and not self.off:
            raise ValueError("nothing says where it comes from; give it from, lookup, const or default")
        return self


class LinesMap(Keys):
    """The fields of each line; their paths begin with lines[]."""

    each: Literal["lines"] = "lines"
    map: dict[Name, Entry]


class MappingFile(Keys):
    """One file of a mapping."""

    mapping_for: Scope
    owner: Words | None = None
    map: dict[Name, Entry] = Field(default_factory=dict)
    lines: LinesMap | None = None


def mapping_schema() -> dict[str, Any]:
    """The JSON Schema of a file of mappings, for editors."""
    return JSON_SCHEMA | MappingFile.model_json_schema() | {"title": "mappings/<portal>/*.yaml"}


@dataclass(frozen=True)
class MappedFields:
    """What a mapping gives to a connector; optional fields that nobody knows are left out."""

    fields: dict[str, str]
    lines: tuple[dict[str, str], ...]  # one per invoice line, in its order


@dataclass(frozen=True)
class Mapped:
    """One effective entry, compiled."""

    name: str
    entry: Entry
    place: Place
    paths: tuple[FieldPath, ...]
    key: FieldPath | None = None
    cells: dict[str, str] = field(default_factory=dict)

    def read(self, roots: tuple[Any, ...]) -> tuple[str, str]:
        """The value, and the word that its table does not have, from (invoice, facts) or (invoice, facts, line)."""
        entry, value = self.entry, ""
        if entry.const is not None:
            return entry.const, ""
        if self.key is not None and entry.lookup is not None and (word := self.key.read(roots[self.key.root])):
            found = self.cells.get(word)
            if found is None and entry.lookup.missing == "error":
                return "", word
            value = found or (word if found is None and entry.lookup.missing == "keep" else "")
        for path in () if value else self.paths:
            if value := path.read(roots[path.root]):
                break
        for change in entry.do:
            value = _CHANGES[change](value)
        return value or entry.default or "", ""

    def finding(self, unknown: str, line: int | None) -> Finding:
        """Why this field holds the invoice."""
        label, lookup = self.entry.label or self.name, self.entry.lookup
        about = self.key if unknown or not self.paths else self.paths[0]
        shown = about.text if about else self.name
        if line is not None:
            shown = shown.replace(LINES, f"lines[{line}]")
        message, fix = f"{label} is missing: {shown} is empty", f"fill in {shown}"
        if unknown and lookup:
            message, fix = f"{label}: {unknown!r} is not in {lookup.table}", f"add a row for it to {lookup.table}"
        return Finding(
            rule=f"mapping:{self.name}",
            severity=Severity.BLOCK,
            message=message,
            fix=self.entry.fix or fix,
            field=shown,
            value=unknown,
            place=f"{self.place.file}:{self.place.line}",
        )


@dataclass(frozen=True)
class Mapping:
    """The effective mapping of one portal, customer and entity."""

    header: tuple[Mapped, ...]
    lines: tuple[Mapped, ...]
    version: str  # of the entries and of the tables they look into

    def apply(self, invoice: Invoice, facts: Facts) -> tuple[MappedFields, tuple[Finding, ...]]:
        """The portal's fields for this invoice, and everything that is missing; with findings, it must not go out."""
        findings: list[Finding] = []
        header = _read(self.header, (invoice, facts), None, findings)
        lines = tuple(_read(self.lines, (invoice, facts, line), n, findings) for n, line in enumerate(invoice.lines))
        return MappedFields(header, lines), tuple(findings)


def _read(
    entries: tuple[Mapped, ...], roots: tuple[Any, ...], line: int | None, findings: list[Finding]
) -> dict[str, str]:
    fields: dict[str, str] = {}
    for mapped in entries:
        value, unknown = mapped.read(roots)
        if value:
            fields[mapped.name] = value
        elif unknown or mapped.entry.required:
            findings.append(mapped.finding(unknown, line))
    return fields


def load_mapping(folders: Sequence[Path], portal: str, customer: str | None, entity: str | None) -> Mapping:
    """The mapping in `<folder>/<portal>/` of every folder of mappings, lowest first.

    Raises SourceError with everything that is wrong in any of the files.
    """
    files = layer_files(folders, portal, customer, entity)
    layers = tuple(read_layers(files, MappingFile, "mapping_for"))
    reading = _Reading(folders, load_extensions(folders))
    header = reading.entries(layers, lambda document: document.map, ("map",))
    lines = reading.entries(layers, lambda document: document.lines.map if document.lines else {}, ("lines", "map"))
    if reading.problems:
        raise SourceError(reading.problems)
    content = [
        [[mapped.name, mapped.entry.model_dump(mode="json")] for mapped in header],
        [[mapped.name, mapped.entry.model_dump(mode="json")] for mapped in lines],
        sorted((table.name, table.digest) for table in reading.tables.values() if table),
    ]
    return Mapping(header, lines, hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16])


def _single(path: FieldPath, *, in_lines: bool) -> FieldPath:
    """The path, if it gives one text; raises ValueError."""
    if path.leaf is Leaf.PART:
        raise ValueError(f"{path.text!r} is no single value; name a field of it")
    if path.root is Root.EACH and not (in_lines and path.each == LINES):
        way = "put it under lines, map" if path.each == LINES else "write [0] to take the first"
        raise ValueError(f"{path.text!r} is many values; {way}")
    return path


class _Reading:
    """Entries being compiled, with the tables they look into and what is wrong in them."""

    def __init__(self, folders: Sequence[Path], vocabulary: Vocabulary) -> None:
        self.folders = folders
        self.vocabulary = vocabulary
        self.tables: dict[str, Table | None] = {}  # None: it could not be read, and that was said once
        self.problems: list[Problem] = []

    def entries(
        self, layers: Sequence[Layer], of: Callable[[Any], dict[str, Entry]], at: tuple[str, ...]
    ) -> tuple[Mapped, ...]:
        """The entries that hold once all layers are laid over each other."""
        held: dict[str, Mapped] = {}
        for layer in layers:
            for name, entry in of(layer.document).items():
                path = (*at, name)
                if entry.off:
                    if held.pop(name, None) is None:
                        message = f"there is no {name!r} below to turn off{did_you_mean(name, held)}"
                        self.problems.append(Problem(layer.source.place(path), message))
                    continue
                held[name] = self._compiled(name, entry, layer, path)
        return tuple(held.values())

    def _compiled(self, name: str, entry: Entry, layer: Layer, at: tuple[str, ...]) -> Mapped:
        written: Any = layer.source.data
        for part in at:
            written = written[part]
        several = isinstance(written.get("from"), list)
        paths = []
        for i, text in enumerate(entry.sources):
            path = self._path(text, layer, (*at, "from", i) if several else (*at, "from"))
            paths += [path] if path else []
        place, lookup = layer.source.place(at), entry.lookup
        if lookup is None:
            return Mapped(name, entry, place, tuple(paths))
        key = self._path(lookup.key, layer, (*at, "lookup", "key"))
        table = self._table(lookup.table, layer.source.place((*at, "lookup", "table")))
        if table and lookup.column not in table.columns:
            message = f"{lookup.table} has no column {lookup.column!r}{did_you_mean(lookup.column, table.columns)}"
            self.problems.append(Problem(layer.source.place((*at, "lookup", "column")), message))
        cells = table.columns.get(lookup.column, {}) if table else {}
        return Mapped(name, entry, place, tuple(paths), key, cells)

    def _path(self, text: str, layer: Layer, at: tuple[str | int, ...]) -> FieldPath | None:
        """A path that can give one text here; None, with the problem kept, for any other."""
        try:
            return _single(field_path(text, self.vocabulary), in_lines=at[0] == "lines")
        except ValueError as error:
            self.problems.append(Problem(layer.source.place(at), str(error)))
            return None

    def _table(self, name: str, place: Place) -> Table | None:
        if name not in self.tables:
            try:
                self.tables[name] = load_table(self.folders, name)
            except FileNotFoundError as error:
                self.tables[name] = None
                self.problems.append(Problem(place, str(error)))
            except SourceError as error:
                self.tables[name] = None
                self.problems += error.problems
        return self.tables[name]
