"""YAML with positions: the ground of configuration, rules and mappings.

Every scalar stays the text that was written (NO, 01234 and 1.10 keep their form; an empty value, a plain `~` or `null`
is None) and is typed only by the model it is validated against. Duplicate keys, aliases, anchors and tags are refused;
every error names file:line:column, and all of them come at once. What might be a misplaced secret is not repeated.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

MAX_BYTES = 1_000_000
MAX_DEPTH = 40
MAX_PROBLEMS = 100  # told at once; nobody reads more
MAX_SHOWN = 80  # characters of a value in a message
_MAPPING_EXPECTED = {"dict_type", "mapping_type", "model_type", "model_attributes_type"}  # pydantic's words
# YAML 1.2, 5.1, c-printable: everything else is refused.
_NOT_PRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

Path_ = tuple[str | int, ...]
M = TypeVar("M", bound=BaseModel)


class Place(NamedTuple):
    """A position in a file; lines and columns count from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


class Problem(NamedTuple):
    """One thing that is wrong, and where."""

    place: Place
    message: str

    def __str__(self) -> str:
        return f"{self.place}: {self.message}"


class SourceError(Exception):
    """A file cannot be used; `problems` has everything that is wrong with it, sorted by place."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(problems))
        super().__init__("\n".join(map(str, self.problems)))


class Source:
    """A YAML file as plain data (dict, list, str, None) that knows where each part of it was written."""

    def __init__(self, name: str, data: Any, places: dict[Path_, Place]) -> None:
        self.name = name
        self.data = data
        self._places = places

    def place(self, path: Path_) -> Place:
        """Where `path` (keys and list indexes) was written; of a part that is absent, its nearest parent."""
        while path not in self._places and path:
            path = path[:-1]
        return self._places.get(path, Place(self.name, 1, 1))


def load(file: Path, *, name: str | None = None) -> Source:
    """Read one file; `name` is how errors call it. Raises SourceError."""
    name = name or str(file)
    try:
        with file.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise SourceError([Problem(Place(name, 1, 1), f"cannot be read: {error.strerror}")]) from error
    return loads(content, name=name)


def loads(content: bytes, *, name: str) -> Source:
    """Read YAML from bytes; see `load`."""
    start = Place(name, 1, 1)
    if len(content) > MAX_BYTES:
        raise SourceError([Problem(start, f"larger than {MAX_BYTES:,} bytes; split it")])
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        problem = Problem(Place(name, line, 1), "is not UTF-8; save the file as UTF-8")
        raise SourceError([problem]) from error
    if control := _NOT_PRINTABLE.search(text):
        before = text[: control.start()]
        place = Place(name, before.count("\n") + 1, len(before) - before.rfind("\n"))
        raise SourceError([Problem(place, f"the character U+{ord(control[0]):04X} is not allowed in YAML; delete it")])
    try:
        _refuse_tricks(text, name)
        root = yaml.compose(text, Loader=_LOADER)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        last = text.count("\n") + 1  # libyaml places the end of a file in a line of its own
        place = Place(name, min(mark.line + 1, last), mark.column + 1) if mark else start
        raise SourceError([Problem(place, f"is not YAML: {error.problem or error.context}")]) from error
    problems: list[Problem] = []
    places: dict[Path_, Place] = {}
    data = None if root is None else _walk(root, (), name, places, problems)
    if problems:
        raise SourceError(problems)
    return Source(name, data, places)


def _refuse_tricks(text: str, name: str) -> None:
    """Before a tree is built: aliases could make it huge, depth could exhaust the stack, tags could make objects."""
    depth = 0
    events: Any = yaml.parse(text, Loader=_LOADER)  # the stubs know only what all events share
    for event in events:
        place = Place(name, event.start_mark.line + 1, event.start_mark.column + 1)
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise SourceError(
                [
                    Problem(
                        place,
                        "anchors and aliases (& and *) are not used here; write the value out, or put it in quotes",
                    )
                ]
            )
        if getattr(event, "tag", None):
            raise SourceError([Problem(place, "tags (!…) are not used here; put a value that begins with ! in quotes")])
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MAX_DEPTH:
            raise SourceError([Problem(place, f"is nested deeper than {MAX_DEPTH} levels")])


def _walk(node: yaml.Node, path: Path_, name: str, places: dict[Path_, Place], problems: list[Problem]) -> Any:
    place = Place(name, node.start_mark.line + 1, node.start_mark.column + 1)
    places.setdefault(path, place)
    if isinstance(node, yaml.SequenceNode):
        return [_walk(item, (*path, i), name, places, problems) for i, item in enumerate(node.value)]
    if isinstance(node, yaml.MappingNode):
        return _walk_mapping(node, path, name, places, problems)
    return None if node.tag.endswith(":null") else node.value


def _walk_mapping(
    node: yaml.MappingNode, path: Path_, name: str, places: dict[Path_, Place], problems: list[Problem]
) -> dict[str, Any]:
    data: dict[str, Any] = {}
    for key_node, value_node in node.value:
        place = Place(name, key_node.start_mark.line + 1, key_node.start_mark.column + 1)
        if not isinstance(key_node, yaml.ScalarNode):
            problems.append(Problem(place, "a key must be a plain word"))
            continue
        key = key_node.value
        if key in data:
            first = places[(*path, key)].line
            problems.append(Problem(place, f"the key {key!r} stands here twice (first in line {first}); keep one"))
            continue
        places[(*path, key)] = place
        data[key] = _walk(value_node, (*path, key), name, places, problems)
    return data


def validate(source: Source, model: type[M]) -> M:
    """The file as `model`; raises SourceError with every problem at its place, and "did you mean" for unknown keys."""
    try:
        return model.model_validate(source.data if source.data is not None else {})
    except ValidationError as error:
        raise SourceError(problems_of(error, source, model)) from error


def problems_of(error: ValidationError, source: Source, model: type[BaseModel], at: Path_ = ()) -> Iterator[Problem]:
    """A pydantic error of a part of a file (`at`) as problems at their places; short values of the file are quoted."""
    details = error.errors(include_url=False, include_context=False, include_input=False)
    schema = model.model_json_schema()
    for detail in details[:MAX_PROBLEMS]:
        path = _path_in(source.data, (*at, *detail["loc"]))
        last = str(detail["loc"][-1]) if detail["loc"] else ""
        if detail["type"] == "extra_forbidden":
            message = f"unknown key {last!r}{did_you_mean(last, _keys(schema, detail['loc'][:-1]))}"
        elif detail["type"] == "missing":
            rest = ".".join(map(str, _beyond(path, (*at, *detail["loc"]))))
            message = _where(path) + (f"the key {rest!r} is missing" if rest else "has no value, but needs one")
        else:
            message = _complaint(detail["type"], detail["msg"], path, _value_at(source.data, path))
        yield Problem(source.place(path), message)
    if len(details) > MAX_PROBLEMS:
        yield Problem(source.place(at), f"and {len(details) - MAX_PROBLEMS} more problems; mend these first")


def _where(path: Path_) -> str:
    return f"{'.'.join(map(str, path))}: " if path else ""


def _beyond(path: Path_, loc: Path_) -> Path_:
    """What of a location is not in the file; its last part where the two went different ways."""
    return loc[len(path) :] if loc[: len(path)] == path else loc[-1:]


def _complaint(kind: str, text: str, path: Path_, value: Any) -> str:
    where = _where(path)
    if value is None and path:
        return f"{where}has no value, but needs one"
    if kind in _MAPPING_EXPECTED:  # the value is not repeated: `secret:word` without a blank lands here
        return f"{where}keys with values are expected here, each as `key: value` with a blank after the colon"
    text = text.removeprefix("Value error, ")
    quoted = f" (it says {shown(value)})" if isinstance(value, str) and repr(value) not in text else ""
    return f"{where}{text[:1].lower()}{text[1:]}{quoted}"


def shown(value: str) -> str:
    """A value as messages quote it: control characters escaped, and no longer than a line."""
    return repr(value if len(value) <= MAX_SHOWN else f"{value[:MAX_SHOWN]}…")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?` if a known word is near, else the known words where they are few, else nothing."""
    known = sorted(set(known))
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    if near:
        return f"; did you mean {near[0]!r}?"
    return f"; known are {', '.join(known)}" if 0 < len(known) <= 12 else ""  # noqa: PLR2004 - a line's worth


def _keys(schema: dict[str, Any], loc: Path_) -> set[str]:
    """The keys that a model's JSON schema knows at `loc`; names of union branches in `loc` are passed over."""
    parts = _branches(schema, schema)
    for step in loc:
        inner = [inside for part in parts for inside in _inside(part, step)]
        parts = [branch for part in inner for branch in _branches(part, schema)] or parts
    return {key for part in parts for key in part.get("properties", {})}


def _branches(part: dict[str, Any], schema: dict[str, Any]) -> list[dict[str, Any]]:
    """A part of a JSON schema with its references followed and its unions opened."""
    if "$ref" in part:
        return _branches(schema["$defs"][part["$ref"].rpartition("/")[2]], schema)
    unions = [branch for word in ("anyOf", "oneOf", "allOf") for branch in part.get(word, ())]
    return [part, *(leaf for branch in unions for leaf in _branches(branch, schema))]


def _inside(part: dict[str, Any], step: str | int) -> Iterator[dict[str, Any]]:
    """What a part of a JSON schema says of the value under one key or index."""
    known = part.get("properties", {}).get(step)
    open_ = (part.get("additionalProperties"), part.get("items"), *part.get("patternProperties", {}).values())
    yield from (inside for inside in ((known,) if known else open_) if isinstance(inside, dict))


def _path_in(data: Any, loc: Path_) -> Path_:
    """The part of a pydantic location that exists in the file; names of union branches are passed over."""
    path: list[str | int] = []
    for part in loc:
        if isinstance(data, str):
            break
        try:
            data = data[part]
        except (KeyError, IndexError, TypeError):
            continue
        path.append(part)
    return tuple(path)


def _value_at(data: Any, path: Path_) -> Any:
    for part in path:
        data = data[part]
    return data
