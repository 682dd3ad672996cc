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


def layer_files(folders: Sequence[Path], scope: Scope) -> tuple[Path, ...]:
    """The files that hold for `scope`, the lowest layer first.

    In each folder's part for the portal, in the order given: default, customer, customer.entity. Raises ValueError for
    a name that is no name, and SourceError where the portal has no file at all, or one that nobody would read.
    """
    for name in filter(None, (scope.portal, scope.customer, scope.entity)):
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} cannot name a file; use letters, digits, - and _")
    stems = ["default"]
    if scope.customer:
        stems.append(scope.customer)
        stems += [f"{scope.customer}.{scope.entity}"] if scope.entity else []
    places = [folder / scope.portal / stem for folder in folders for stem in stems]
    files = tuple(file for place in places if (file := _with(place, ".yaml")).is_file())
    astray = [file for place in places if (file := _with(place, ".yml")).exists()]
    if astray:
        raise SourceError(Problem(Place(str(file), 1, 1), "is not read; rename it to .yaml") for file in astray)
    if not files:
        told = f"there is nothing for the portal {scope.portal!r} in any folder; write this file"
        raise SourceError([Problem(Place(str(folders[-1] / scope.portal / "default.yaml"), 1, 1), told)])
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
