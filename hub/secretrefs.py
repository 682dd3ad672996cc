"""Secrets by reference: hub.yaml says where a secret lies (env:NAME or file:PATH), never what it is."""

from __future__ import annotations

import copy
import os
import re
import shlex
import stat
from collections.abc import Iterator
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, SecretBytes, SecretStr, ValidationError

from hub.yamlsource import Path_, Problem, Source, SourceError, problems_of

MAX_BYTES = 65_536
SHORTEST = 6  # characters; a shorter secret could not be blanked out of what is written without ruining it
_FORMS = "write where it lies instead: env:NAME (an environment variable) or file:PATH (a file of mode 600)"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_STAND_IN = "x" * 16  # for a secret that is missing, so that the other settings are judged all the same


class Unresolved(Exception):
    """A reference leads to no secret; the message names the variable or file and never a secret."""


def is_reference(value: object) -> bool:
    """Whether this is a reference to a secret."""
    return isinstance(value, str) and value.startswith(("env:", "file:"))


def resolve(reference: object, workspace: Path) -> str:
    """The secret behind `env:NAME` or `file:PATH` (relative to the workspace); raises Unresolved."""
    if not isinstance(reference, str) or not is_reference(reference):
        raise Unresolved(f"a secret stands in clear text here; {_FORMS}")
    kind, _, where = reference.partition(":")
    where = where.strip()
    secret = _from_environment(where) if kind == "env" else _from_file(workspace / where)
    if len(secret) < SHORTEST:
        raise Unresolved(f"the secret behind {reference} is shorter than {SHORTEST} characters; use a longer one")
    return secret


def _from_environment(name: str) -> str:
    if not _NAME.fullmatch(name):  # not repeated: it may be the secret itself
        raise Unresolved("what follows env: is not the name of an environment variable")
    if not (value := os.environ.get(name)):
        raise Unresolved(f"the environment variable {name} is {'empty' if value == '' else 'not set'}; set it")
    return value


def _from_file(path: Path) -> str:
    try:
        about = path.stat()
        if not stat.S_ISREG(about.st_mode):
            raise Unresolved(f"the secret file {path} is no plain file")
        if about.st_mode & 0o077:
            mode = stat.S_IMODE(about.st_mode)
            raise Unresolved(
                f"the secret file {path} is open to others (mode {mode:04o}); run: chmod 600 {shlex.quote(str(path))}"
            )
        with path.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        raise Unresolved(f"the secret file {path} cannot be read: {getattr(error, 'strerror', error)}") from None
    if len(content) > MAX_BYTES:
        raise Unresolved(f"the secret file {path} is larger than {MAX_BYTES:,} bytes")
    try:
        value = content.decode("utf-8-sig").rstrip("\r\n")
    except UnicodeDecodeError:
        raise Unresolved(f"the secret file {path} is not UTF-8 text") from None
    if not value:
        raise Unresolved(f"the secret file {path} is empty")
    return value


def settings(
    model: type[BaseModel], data: dict[str, Any], source: Source, at: Path_, workspace: Path
) -> tuple[BaseModel, tuple[str, ...]]:
    """`data`, which stands in `source` at `at`, as `model` with its secrets resolved, and those; raises SourceError."""
    filled = copy.deepcopy(data)
    problems: list[Problem] = []
    secrets: list[str] = []
    for path in dict.fromkeys(_secret_paths(model, data, ())):
        secret = _STAND_IN
        try:
            secret = resolve(_value_at(data, path), workspace)
            secrets.append(secret)
        except Unresolved as unresolved:
            where = (*at, *path)
            problems.append(Problem(source.place(where), f"{'.'.join(map(str, where))}: {unresolved}"))
        _value_at(filled, path[:-1])[path[-1]] = secret
    settled = {problem.place for problem in problems}
    try:
        made = model.model_validate(filled)
    except ValidationError as error:
        complaints = [problem for problem in problems_of(error, source, model, at) if problem.place not in settled]
        problems += [Problem(place, _without(secrets, message)) for place, message in complaints]
    if problems:  # raised outside the handler, so that no traceback carries what pydantic was given
        raise SourceError(problems)
    return made, tuple(secrets)


def _secret_paths(annotation: Any, data: Any, at: Path_) -> Iterator[Path_]:
    """Where in `data` a value stands that `annotation` takes as a secret."""
    if data is None:
        return
    if isinstance(annotation, type) and issubclass(annotation, SecretStr | SecretBytes):
        yield at
    elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
        for name, field in annotation.model_fields.items():
            for key in (name, field.validation_alias):
                if isinstance(key, str) and isinstance(data, dict) and key in data:
                    yield from _secret_paths(field.annotation, data[key], (*at, key))
    else:
        parts: list[tuple[Any, Path_]] = [(data, at)]
        if get_origin(annotation) not in (Annotated, Union, UnionType) and isinstance(data, list | dict):
            parts = [(data[i], (*at, i)) for i in (data if isinstance(data, dict) else range(len(data)))]
        for inner in get_args(annotation):
            for part, path in parts:
                yield from _secret_paths(inner, part, path)


def _value_at(data: Any, path: Path_) -> Any:
    for step in path:
        data = data[step]
    return data


def _without(secrets: list[str], text: str) -> str:
    """A message without the secrets that a connector's own check may have put into it."""
    return (
        re.sub("|".join(map(re.escape, sorted(secrets, key=len, reverse=True))), "[secret]", text) if secrets else text
    )
