"""Rules: what a portal and a customer demand of an invoice, as analysts write it in rules/<portal>/*.yaml.

Layers go from the portal's default to the customer and to the customer's entity, first in the project's folder, then in
the workspace's. An upper layer adds rules, changes one by its id, or turns one off. Every rule says where it was learnt
and when that was last checked. All findings of an invoice come at once.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, PlainValidator, model_validator

from hub.contract.invoice import Invoice
from hub.requirements.checks import Check, Condition, DateLimits, Day, Format, max_length, one_of
from hub.requirements.extensions import Vocabulary
from hub.requirements.finding import Finding, Severity
from hub.requirements.layers import (
    JSON_SCHEMA,
    Keys,
    Layer,
    Plain,
    Scope,
    Words,
    layer_files,
    listed,
    read_layers,
    spelled,
)
from hub.requirements.paths import NO_FACTS, Facts, FieldPath, Getter, Leaf, Root, field_path, is_empty, text_of
from hub.yamlsource import Path_, Place, Problem, SourceError, did_you_mean

SHOWN = 200  # so much of a value is quoted in a finding
_KINDS = ("required", "format", "one_of", "max_length", "date")
_REMOVABLE = {*_KINDS, "when", "fix"}  # an override that leaves one of these empty takes it away
_CHECKS: dict[str, tuple[set[Leaf], Callable[[Any, Leaf], Check]]] = {  # what each kind can be asked of
    "format": ({Leaf.TEXT, Leaf.NUMBER, Leaf.DATE}, lambda asked, _leaf: asked.check()),
    "one_of": ({Leaf.TEXT, Leaf.NUMBER, Leaf.DATE, Leaf.FLAG}, one_of),
    "max_length": ({Leaf.TEXT, Leaf.NUMBER}, lambda asked, _leaf: max_length(asked)),
    "date": ({Leaf.DATE}, lambda asked, _leaf: asked.check()),
}

RuleId = Annotated[
    str, spelled(r"[a-z0-9][a-z0-9._-]{0,99}", "is no id; use small letters, digits, dots, - and _, as in acme.order")
]
Conditions = Annotated[
    tuple[Condition, ...], BeforeValidator(listed, json_schema_input_type=Condition | list[Condition])
]


class Asks(Keys):
    """What a rule may ask of its field."""

    required: bool | None = None  # unsaid: yes for format, one_of and date; an empty text is never too long
    format: Format | None = None
    one_of: Annotated[tuple[Plain, ...], Field(min_length=1)] | None = None
    max_length: Annotated[int, Field(ge=1, le=10_000)] | None = None
    date: DateLimits | None = None
    when: Conditions | None = None


class Rule(Asks):
    """One rule, as it is written down for the first time."""

    id: RuleId
    field: Plain
    message: Words
    fix: Words | None = None
    severity: Severity = Severity.BLOCK
    source: Words
    checked_on: Day

    @model_validator(mode="after")
    def _asks_something(self) -> Self:
        if not any(getattr(self, kind) for kind in _KINDS):
            raise ValueError(f"the rule {self.id!r} asks for nothing; give it one of {', '.join(_KINDS)}")
        return self

    @property
    def must_be_there(self) -> bool:
        """Whether an empty value fails."""
        return self.required if self.required is not None else any((self.format, self.one_of, self.date))


class Override(Asks):
    """A change to a rule of a lower layer: what is said here replaces what was said there."""

    override: RuleId
    off: bool = False
    message: Words | None = None
    fix: Words | None = None
    severity: Severity | None = None
    source: Words
    checked_on: Day


class Given(Keys):
    """What a case starts from: an invoice, and changes to it or to what is known of the account."""

    base: Plain | dict[str, Any] | None = None  # the invoice, or the path of its JSON in a folder of rules
    set: dict[str, Any] = Field(default_factory=dict)  # path → value; an empty one takes the field away
    today: Day | None = None  # unsaid: the base invoice's own date


class Expect(Keys):
    """What a case proves. `held_by` and `warned_by` are exact; warnings that are not spoken of are allowed."""

    held_by: tuple[RuleId, ...] = ()
    warned_by: tuple[RuleId, ...] | None = None
    passes: bool = False

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.passes is bool(self.held_by) and not (self.warned_by and not self.passes):
            raise ValueError("expect either passes: true, or the rules in held_by or warned_by")
        return self


class Case(Keys):
    """One example of what the rules of its file do."""

    name: Words
    given: Given = Given()
    expect: Expect


def _entry(written: object) -> Rule | Override:
    """An entry as what it says it is; a union would complain of both, and name its branches."""
    if isinstance(written, dict) and "override" in written:
        return Override.model_validate(written)
    return Rule.model_validate(written)


class RulesFile(Keys):
    """One file of rules."""

    rules_for: Scope
    owner: Words | None = None
    example: Given = Given()  # what every case of this file, and of the layers above it, starts from
    require: tuple[Annotated[Rule | Override, PlainValidator(_entry, json_schema_input_type=Rule | Override)], ...] = ()
    cases: tuple[Case, ...] = ()


def rules_schema() -> dict[str, Any]:
    """The JSON Schema of a file of rules, for editors."""
    return JSON_SCHEMA | RulesFile.model_json_schema() | {"title": "rules/<portal>/*.yaml"}


@dataclass(frozen=True)
class Demand:
    """One effective rule, compiled."""

    rule: Rule
    place: Place
    path: FieldPath
    checks: tuple[Check, ...]
    whole: tuple[tuple[Root, Getter], ...]  # conditions on the invoice and the account
    each: tuple[Getter, ...]  # conditions on the line, or whatever the field is one of

    def find(self, invoice: Invoice, facts: Facts, today: dt.date, findings: list[Finding]) -> None:
        """Add what this rule finds: at most one thing for each value. Nearly every rule finds nothing, and soon."""
        for root, holds in self.whole:
            if not holds(invoice if root is Root.INVOICE else facts):
                return
        value_of, checks, each = self.path.value, self.checks, self.each
        for n, owner in enumerate(self.path.owners(invoice, facts)):
            if each and not all(holds(owner) for holds in each):
                continue
            value = value_of(owner)
            if not value and is_empty(value):
                if self.rule.must_be_there:
                    findings.append(self._finding(invoice, n, "", "it is missing" if checks else ""))
            elif checks and (wrong := "; ".join(filter(None, [check(value, today) for check in checks]))):
                findings.append(self._finding(invoice, n, text_of(value)[:SHOWN], wrong))

    def _finding(self, invoice: Invoice, n: int, value: str, wrong: str) -> Finding:
        return Finding(
            rule=self.rule.id,
            severity=self.rule.severity,
            message=f"{self.rule.message} ({wrong})" if wrong else self.rule.message,
            fix=self.rule.fix or "",
            field=self.path.shown(invoice, n),
            value=value,
            place=f"{self.place.file}:{self.place.line}",
        )


@dataclass(frozen=True)
class Rulebook:
    """The effective rules of one portal, customer and entity."""

    demands: tuple[Demand, ...]
    version: str  # of the rules' content: where they are written does not matter

    def check(self, invoice: Invoice, today: dt.date, facts: Facts = NO_FACTS) -> tuple[Finding, ...]:
        """Everything these rules find in the invoice, in the rules' order. `today` is the account's."""
        findings: list[Finding] = []
        for demand in self.demands:
            demand.find(invoice, facts, today, findings)
        return tuple(findings)


def load_rules(
    folders: Sequence[Path], portal: str, customer: str | None, entity: str | None, *, vocabulary: Vocabulary
) -> Rulebook:
    """The rules in `<folder>/<portal>/` of every folder of rules, lowest first; `vocabulary` has the extensions.

    Raises SourceError with everything that is wrong in any of the files.
    """
    files = layer_files(folders, portal, customer, entity)
    return rulebook(tuple(read_layers(files, RulesFile, "rules_for")), vocabulary)


def rulebook(layers: Sequence[Layer], vocabulary: Vocabulary) -> Rulebook:
    """The rules that hold once all layers are laid over each other. Raises SourceError."""
    stack = _Stack(vocabulary)
    for layer in layers:
        for i, entry in enumerate(layer.document.require):
            stack.lay(entry, layer, i)
    if stack.problems:
        raise SourceError(stack.problems)
    demands = tuple(demand for demand in stack.demands.values() if demand.rule.id not in stack.off)
    content = [[demand.rule.model_dump(mode="json"), demand.path.leaf] for demand in demands]
    return Rulebook(demands, hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16])


class _Stack:
    """Layers being laid over each other, with what is wrong in them."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        self.demands: dict[str, Demand] = {}
        self.off: set[str] = set()
        self.problems: list[Problem] = []
        self.broken: set[str] = set()  # ids of rules that were refused: an override of one is not unknown

    def lay(self, entry: Rule | Override, layer: Layer, i: int) -> None:
        at = ("require", i)
        source = layer.source
        if isinstance(entry, Rule):
            rule = entry
            if rule.id in self.demands:
                first = self.demands[rule.id].place
                message = f"the id {rule.id!r} stands already in {first}; write override: {rule.id} to change that rule"
                self.problems.append(Problem(source.place((*at, "id")), message))
                return
        else:
            below = self.demands.get(entry.override)
            if below is None:
                if entry.override not in self.broken:
                    message = f"there is no rule {entry.override!r} below{did_you_mean(entry.override, self.demands)}"
                    self.problems.append(Problem(source.place((*at, "override")), message))
                return
            self.off.discard(entry.override)
            if entry.off:
                self.off.add(entry.override)
            changes = {key: getattr(entry, key) for key in entry.model_fields_set - {"override", "off"}}
            kept = {key: value for key, value in changes.items() if value is not None or key in _REMOVABLE}
            rule = below.rule.model_copy(update=kept)
            if not any(getattr(rule, kind) for kind in _KINDS):
                message = f"nothing is left of the rule {rule.id!r}; write off: true to turn it off"
                self.problems.append(Problem(source.place(at), message))
                return
        demand, problems = _compiled(rule, layer, i, self.vocabulary)
        self.problems += problems
        if demand is None:
            self.broken.add(rule.id)
        else:
            self.demands[rule.id] = demand


def _compiled(rule: Rule, layer: Layer, i: int, vocabulary: Vocabulary) -> tuple[Demand | None, list[Problem]]:
    """A rule ready to check with, or everything that is wrong in how it was written at this place."""
    source, at = layer.source, ("require", i)
    try:
        path = field_path(rule.field, vocabulary)
    except ValueError as error:
        return None, [Problem(source.place((*at, "field")), str(error))]
    checks, problems = _checks(rule, path, layer, at)
    whole, each, more = _conditions(rule, path, layer, at, vocabulary)
    if problems or more:
        return None, problems + more
    return Demand(rule, source.place(at), path, checks, whole, each), []


def _checks(rule: Rule, path: FieldPath, layer: Layer, at: Path_) -> tuple[tuple[Check, ...], list[Problem]]:
    checks: list[Check] = []
    problems: list[Problem] = []
    for kind, (leaves, build) in _CHECKS.items():
        asked, place = getattr(rule, kind), layer.source.place((*at, kind))
        if asked is None:
            continue
        if path.leaf not in leaves:
            problems.append(Problem(place, f"{kind} cannot be asked of {rule.field!r}, which is a {path.leaf}"))
            continue
        try:
            checks.append(build(asked, path.leaf))
        except ValueError as error:
            problems.append(Problem(place, str(error)))
    return tuple(checks), problems


def _conditions(
    rule: Rule, path: FieldPath, layer: Layer, at: Path_, vocabulary: Vocabulary
) -> tuple[tuple[tuple[Root, Getter], ...], tuple[Getter, ...], list[Problem]]:
    """The conditions on the whole and on each, as `Demand` keeps them, and what is wrong with them."""
    whole: list[tuple[Root, Getter]] = []
    each: list[Getter] = []
    problems: list[Problem] = []
    for n, condition in enumerate(rule.when or ()):
        place = layer.source.place((*at, "when", n))
        try:
            about = field_path(condition.field, vocabulary)
            holds = condition.test(about.value, about.leaf)
        except ValueError as error:
            problems.append(Problem(place, str(error)))
            continue
        if about.root is not Root.EACH:
            whole.append((about.root, holds))
        elif about.each == path.each:
            each.append(holds)
        else:
            message = f"a condition on {about.each} needs a rule on {about.each}; this one is on {rule.field}"
            problems.append(Problem(place, message))
    return tuple(whole), tuple(each), problems
