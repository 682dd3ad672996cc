"""Layers: which files of rules or mappings hold for a portal, a customer and an entity, and in what order."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, StringConstraints, WithJsonSchema

from hub.yamlsource import Place, Problem, Source, SourceError, load, validate

JSON_SCHEMA = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}", re.ASCII)

# Scalars stay the text that was written; an editor reads 01234 or NO as something else and must not object.
_PLAIN = WithJsonSchema({"type": ["string", "number", "boolean"]})
Plain = Annotated[str, StringConstraints(max_length=1_000), _PLAIN]
Words = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=1_000)]


def spelled(pattern: str, told: str) -> AfterValidator:
    """A text must match `pattern` as a whole; `told` says in words what is wrong and what would be right."""
    form = re.compile(pattern, re.ASCII)

    def check(text: str) -> str:
        if not form.fullmatch(text):
            raise ValueError(told)
        return text

    return AfterValidator(check)


def listed(value: Any) -> Any:
    """One thing as a list of one; for keys that take one thing or several."""
    return value if isinstance(value, list) else [value]


Fields = Annotated[tuple[Plain, ...], BeforeValidator(listed, json_schema_input_type=Plain | list[Plain])]


class Keys(BaseModel):
    """The ground of every part of a file: immutable, and a key it does not know is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=False)


class Scope(Keys):
    """For whom a file is: it must agree with the file's own place, so that a copied file is never silently idle."""

    portal: Words
    customer: Words | None = None
    entity: Words | None = None

    def __str__(self) -> str:
        return ", ".join(f"{key} {value}" for key, value in self if value)


File = TypeVar("File", bound=Keys)


class Layer(NamedTuple):
    """One file of a stack, as it was written and as it was understood."""

    source: Source
    document: Any


def layer_files(
    folders: Sequence[Path], portal: str, customer: str | None = None, entity: str | None = None
) -> tuple[Path, ...]:
    """The files that hold for a portal, a customer and an entity, the lowest layer first.

    In each folder's part for the portal, in the order given: default, customer, customer.entity. Raises SourceError for
    a name that cannot be a file's, a portal that has no file at all, and a file that nobody would read.
    """
    names = [portal, *([customer] if customer else []), *([entity] if customer and entity else [])]
    wrong = [name for name in names if not _NAME.fullmatch(name) or name == "default"]
    if wrong:
        told = f"{wrong[0]!r} cannot name a file of this folder; use letters, digits, - and _, and not default"
        raise SourceError([Problem(Place(str(folders[-1]), 1, 1), told)])
    stems = ("default", *(".".join(names[1 : n + 1]) for n in range(1, len(names))))
    places = [folder / portal / stem for folder in folders for stem in stems]
    files = tuple(file for place in places if (file := _with(place, ".yaml")).is_file())
    astray = [file for place in places if (file := _with(place, ".yml")).exists()]
    if astray:
        raise SourceError(Problem(Place(str(file), 1, 1), "is not read; rename it to .yaml") for file in astray)
    if not files:
        start = Place(str(folders[-1] / portal / "default.yaml"), 1, 1)
        raise SourceError(
            [Problem(start, f"there is nothing for the portal {portal!r} in any folder; write this file")]
        )
    return files


def read_layers(files: Sequence[Path], model: type[File], key: str) -> Iterator[Layer]:
    """Each file as `model`, whose `key` must agree with the file's place. Raises SourceError with all problems."""
    layers: list[Layer] = []
    problems: list[Problem] = []
    for file in files:
        try:
            source = load(file)
            document = validate(source, model)
        except SourceError as error:
            problems += error.problems
            continue
        stated, expected = getattr(document, key), scope_of(file)
        if stated != expected:
            message = f"{key} says {stated}, but the file stands where {expected} is looked for"
            problems.append(Problem(source.place((key,)), message))
        layers.append(Layer(source, document))
    if problems:
        raise SourceError(problems)
    return iter(layers)


def scope_of(file: Path) -> Scope:
    """For whom a file is, by its place: <portal>/default.yaml, <customer>.yaml or <customer>.<entity>.yaml."""
    if file.stem == "default":
        return Scope(portal=file.parent.name)
    customer, _, entity = file.stem.partition(".")
    return Scope(portal=file.parent.name, customer=customer, entity=entity or None)


def _with(place: Path, suffix: str) -> Path:
    return place.with_name(place.name + suffix)  # the dot of customer.entity is no suffix
