"""The declared vocabulary of extensions: what an invoice may carry beyond EN 16931, so that a typo is an error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

from hub.requirements.layers import Keys, Words, spelled
from hub.yamlsource import Place, Problem, SourceError, load, validate

EXTENSIONS_FILE = "extensions.yaml"


class Level(StrEnum):
    """Where an extension may stand."""

    HEADER = "header"
    LINE = "line"
    BOTH = "both"


class Extension(Keys):
    """One declared name, its type, where it may stand and what people call it."""

    name: Annotated[
        str,
        spelled(
            r"[a-z][a-z0-9_]{0,63}", "cannot name an extension; use small letters, digits and _, as in cost_center"
        ),
    ]
    type: Literal["text", "number", "date"] = "text"
    level: Level
    label: Words


class ExtensionsFile(Keys):
    """mappings/extensions.yaml."""

    extensions: tuple[Extension, ...]


@dataclass(frozen=True)
class Vocabulary:
    """Every extension that is declared, by name."""

    extensions: Mapping[str, Extension]

    def at(self, level: Level) -> Mapping[str, Extension]:
        """The extensions that may stand at the header, or at a line."""
        return {name: known for name, known in self.extensions.items() if known.level in (level, Level.BOTH)}


def load_extensions(folders: Sequence[Path]) -> Vocabulary:
    """The vocabulary of all folders of mappings together; a later one may add and relabel. Raises SourceError."""
    declared: dict[str, tuple[Extension, Place]] = {}
    problems: list[Problem] = []
    for folder in folders:
        file = folder / EXTENSIONS_FILE
        if not file.is_file():
            continue
        try:
            source = load(file)
            document = validate(source, ExtensionsFile)
        except SourceError as error:
            problems += error.problems
            continue
        for i, extension in enumerate(document.extensions):
            place = source.place(("extensions", i, "name"))
            before, first = declared.get(extension.name, (None, place))
            same = before and (before.type, before.level) == (extension.type, extension.level)
            if before and (first.file == place.file or not same):
                message = f"the extension {extension.name!r} stands already in {first}; give it another name"
                problems.append(Problem(place, message))
            declared[extension.name] = (extension, place)
    if problems:
        raise SourceError(problems)
    return Vocabulary({name: extension for name, (extension, _) in declared.items()})
