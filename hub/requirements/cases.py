"""Cases: the examples that stand beside the rules and prove them, run as the layers below them would be."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from pydantic import ValidationError

from hub.contract.invoice import Invoice
from hub.requirements.extensions import Vocabulary
from hub.requirements.finding import Finding, Severity
from hub.requirements.layers import Layer, layer_files, read_layers, scope_of
from hub.requirements.paths import Facts, Root, field_path
from hub.requirements.rules import Case, Expect, Given, Override, Rulebook, RulesFile, rulebook
from hub.yamlsource import MAX_BYTES, SourceError

_STEP = re.compile(r"([A-Za-z_][A-Za-z0-9_-]*)(?:\[(\d{0,4})\])?", re.ASCII)


@dataclass(frozen=True)
class CaseResult:
    """How one case went, or one other thing that is wrong with a file; `problem` is empty where all is well."""

    place: str  # file:line
    name: str
    problem: str = ""

    @property
    def ok(self) -> bool:
        """Whether the case came out as it should."""
        return not self.problem


def run_cases(folders: Sequence[Path], vocabulary: Vocabulary) -> tuple[CaseResult, ...]:
    """Every case of every file in these folders of rules; a base that is a file lies in the same folder of rules.

    A rule that no case catches is a failure, and so is a rule turned off without a case that it would have caught.
    """
    results: list[CaseResult] = []
    for folder in folders:
        for file in sorted(folder.glob("*/*.yaml")):
            try:
                below, here = _stack(folders, file)
                books = rulebook(below, vocabulary), rulebook((*below, here), vocabulary)
            except SourceError as error:
                results += _failures(error)
            except ValueError as error:
                results.append(CaseResult(f"{file}:1", "loads", str(error)))
            else:
                results += _file_results(folders, below, here, books, vocabulary)
    return tuple(results)


def _failures(error: SourceError) -> Iterator[CaseResult]:
    return (CaseResult(f"{place.file}:{place.line}", "loads", message) for place, message in error.problems)


def _stack(folders: Sequence[Path], file: Path) -> tuple[tuple[Layer, ...], Layer]:
    """The layers below `file`, and its own."""
    scope = scope_of(file)
    files = layer_files(folders, scope.portal, scope.customer, scope.entity)
    *below, here = read_layers(files[: files.index(file) + 1], RulesFile, "rules_for")
    return tuple(below), here


def _file_results(
    folders: Sequence[Path],
    below: tuple[Layer, ...],
    here: Layer,
    books: tuple[Rulebook, Rulebook],
    vocabulary: Vocabulary,
) -> Iterator[CaseResult]:
    document: RulesFile = here.document
    start = Given()
    for layer in (*below, here):
        start = _laid(start, layer.document.example)
    before, after = books
    caught: set[str] = set()  # by a case of this file, with this file's rules
    freed: set[str] = set()  # by the rules below, but no longer with this file's
    for n, case in enumerate(document.cases):
        place = here.source.place(("cases", n))
        try:
            invoice, facts, today = _prepared(folders, _laid(start, case.given), vocabulary)
        except ValueError as error:
            yield CaseResult(f"{place.file}:{place.line}", case.name, f"the case's invoice cannot be made: {error}")
            continue
        findings = after.check(invoice, today, facts)
        named = {*case.expect.held_by, *(case.expect.warned_by or ())}
        found = {finding.rule for finding in findings}
        caught |= found & named
        freed |= {finding.rule for finding in before.check(invoice, today, facts)} - found
        yield CaseResult(f"{place.file}:{place.line}", case.name, _difference(case, findings))
    for n, entry in enumerate(document.require):
        place = here.source.place(("require", n))
        if isinstance(entry, Override) and entry.off:
            known, name, wanted = freed, entry.override, "that it would have caught"
        else:
            known, name, wanted = caught, entry.override if isinstance(entry, Override) else entry.id, "that it catches"
        if name not in known:
            yield CaseResult(f"{place.file}:{place.line}", name, f"the rule has no case {wanted}; write one in cases")


def _laid(under: Given, over: Given) -> Given:
    """What a case starts from, once `over` is laid over `under`."""
    return Given(
        base=over.base if over.base is not None else under.base,
        set={**under.set, **over.set},
        today=over.today or under.today,
    )


def _prepared(folders: Sequence[Path], given: Given, vocabulary: Vocabulary) -> tuple[Invoice, Facts, dt.date]:
    """The invoice, the facts and the day of a case; raises ValueError."""
    if given.base is None:
        raise ValueError("neither the case nor the file's example says what it starts from; give it a base")
    base = given.base if isinstance(given.base, dict) else _read(folders, given.base)
    today = given.today or _valid(base).issue_date
    content = _valid(base).canonical()
    facts: dict[str, str] = {}
    for path, value in given.set.items():
        if field_path(path, vocabulary).root is Root.FACTS:
            facts[path] = str(value or "")
        else:
            _put(content, path, path.split("."), value)
    return _valid(content), _facts(facts), today


def _read(folders: Sequence[Path], name: str) -> Any:
    """An invoice's JSON, from the last folder that has it."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name:
        raise ValueError(f"{name!r} leads out of the folder; name a file within it")
    file = next((found for folder in reversed(folders) if (found := folder / path).is_file()), None)
    if file is None:
        raise ValueError(f"there is no file {name!r} in {', '.join(map(str, folders))}")
    try:
        with file.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise ValueError(f"{name} is larger than {MAX_BYTES:,} bytes")
        return json.loads(content)
    except OSError as error:
        raise ValueError(f"{file} cannot be read: {error.strerror}") from None
    except RecursionError:
        raise ValueError(f"{name} is nested too deep") from None


def _valid(content: Any) -> Invoice:
    try:
        return Invoice.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise ValueError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None


def _put(part: Any, path: str, steps: Sequence[str], value: Any) -> None:
    """Set one value; an empty one takes the field away, `[]` sets it in each item."""
    match = _STEP.fullmatch(steps[0])
    if match is None or not isinstance(part, dict):
        raise ValueError(f"set: {path!r} is no field")
    name, index = match[1], match[2]
    if len(steps) == 1 and index is None:
        if value in ("", None):
            part.pop(name, None)
        else:
            part[name] = value
    elif len(steps) == 1:
        raise ValueError(f"set: {path!r} ends in a list; name a field of it")
    elif index is None:
        _put(part.setdefault(name, {}), path, steps[1:], value)
    else:
        items = part.get(name, [])
        chosen = items if index == "" else items[int(index) : int(index) + 1]
        if not isinstance(items, list) or not chosen:
            raise ValueError(f"set: the invoice has no {steps[0]!r}, which {path!r} names")
        for item in chosen:
            _put(item, path, steps[1:], value)


def _facts(said: dict[str, str]) -> Facts:
    identifiers: dict[str, dict[str, str]] = {"account": {}, "entity": {}, "customer": {}}
    for path, value in said.items():
        owner, _, name = path.partition(".identifiers.")
        if name and value:
            identifiers[owner][name] = value
    return Facts(
        portal_customer=said.get("account.portal_customer") or None,
        time_zone=said.get("account.time_zone") or None,
        **identifiers,
    )


def _difference(case: Case, findings: Sequence[Finding]) -> str:
    """What came out otherwise than the case expects, with the findings' own words."""
    expect: Expect = case.expect
    wrong = []
    for verb, severity, expected in (
        ("held", Severity.BLOCK, expect.held_by),
        ("warned", Severity.WARN, expect.warned_by),
    ):
        if expected is None:
            continue
        actual = {finding.rule: finding.message for finding in findings if finding.severity is severity}
        wrong += [f"{verb} by {rule}: {message}" for rule, message in actual.items() if rule not in expected]
        wrong += [f"not {verb} by {rule}" for rule in expected if rule not in actual]
    return "; ".join(wrong)
