"""Field paths: how rules and mappings name a part of an invoice. Checked against the model once, then fast to read.

`purchase_order_reference`, `buyer.address.city`, `parties.remit_to.name` and `extensions.cost_center` name one value;
`lines[].unit` names one in each line, `lines[0].unit` the first line's. Facts of the road stand beside the invoice:
`account.portal_customer`, `account.time_zone` and `account|entity|customer.identifiers.NAME`.
"""

from __future__ import annotations

import datetime as dt
import re
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from enum import IntEnum, StrEnum
from itertools import chain, islice
from operator import attrgetter
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel

from hub.contract.invoice import KIND_BY_TYPE_CODE, Invoice, Line
from hub.requirements.extensions import Level, Vocabulary
from hub.yamlsource import did_you_mean

MAX_LENGTH = 200
_SEGMENT = re.compile(r"([A-Za-z_][A-Za-z0-9_-]*)(?:\[(\d{0,4})\])?", re.ASCII)
_IDENTIFIER = re.compile(r"(account|entity|customer)\.identifiers\.([A-Za-z_][A-Za-z0-9_-]*)", re.ASCII)

Getter = Callable[[Any], Any]


@dataclass(frozen=True)
class Facts:
    """What is known of the road an invoice takes: the account's data, and the identifiers of its three owners."""

    portal_customer: str | None = None
    time_zone: str | None = None
    account: Mapping[str, str] = field(default_factory=dict)
    entity: Mapping[str, str] = field(default_factory=dict)
    customer: Mapping[str, str] = field(default_factory=dict)


NO_FACTS = Facts()


class Leaf(StrEnum):
    """What stands at the end of a path."""

    TEXT = "text"
    NUMBER = "number"
    DATE = "date"
    FLAG = "true or false"
    PART = "part"  # a party, a list: it is there or it is not


class Root(IntEnum):
    """What a path is read from; the order of `roots` in a reader."""

    INVOICE = 0
    FACTS = 1
    EACH = 2  # one item of a list, as one line


@dataclass(frozen=True)
class FieldPath:
    """A checked path. `owners` gives what to read it from, `value` reads it there, `shown` says which one it was."""

    text: str
    leaf: Leaf
    root: Root
    value: Getter  # of one owner; None where a part on the way is missing
    each: str = ""  # `lines[]` of lines[].unit
    _lists: tuple[Getter, ...] = ()

    def owners(self, invoice: Invoice, facts: Facts) -> Sequence[Any]:
        """Every object that the path's last part is read from, in the invoice's order."""
        if self.root is Root.EACH:
            first, *inner = self._lists
            owners: Sequence[Any] = first(invoice) or ()
            for items in inner:
                owners = tuple(chain.from_iterable(map(items, owners)))
            return owners
        return (invoice,) if self.root is Root.INVOICE else (facts,)

    def shown(self, invoice: Invoice, n: int) -> str:
        """The path of the owner number `n`: lines[2].unit."""
        if self.root is not Root.EACH:
            return self.text
        indexes = next(islice(_indexes(invoice, self._lists), n, None))
        pieces = self.text.split("[]")
        return "".join(f"{piece}[{i}]" for piece, i in zip(pieces, indexes, strict=False)) + pieces[-1]

    def read(self, owner: Any) -> str:
        """The value as text, empty where there is none."""
        return text_of(self.value(owner))


def field_path(text: str, vocabulary: Vocabulary) -> FieldPath:
    """Check and compile a path; raises ValueError that says what is unknown and what is near."""
    if len(text) > MAX_LENGTH:
        raise ValueError(f"a field of {len(text)} characters is no field")
    if text.split(".", 1)[0] in ("account", "entity", "customer"):
        return _fact_path(text)
    return _Walk(text, vocabulary).compiled()


def text_of(value: Any) -> str:
    """A value as portals and findings write it: dates ISO, numbers plain, nothing as the empty text."""
    if isinstance(value, str):
        return str(value)
    if value is None:
        return ""
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, bool):
        return "true" if value else "false"
    return value.isoformat() if isinstance(value, dt.date) else str(value)


def typed(leaf: Leaf, text: str) -> Any:
    """A text as a value of this kind, to compare with; raises ValueError."""
    try:
        return _PARSERS[leaf](text)
    except (ValueError, KeyError, InvalidOperation):
        raise ValueError(f"{text!r} is no {leaf}") from None


def is_empty(value: Any) -> bool:
    """Whether nothing stands there; zero and false are something."""
    return not value and not isinstance(value, (Decimal, bool, int))


def _number(text: str) -> Decimal:
    number = Decimal(text)
    if not number.is_finite():
        raise ValueError
    return number


def _flag(text: str) -> bool:
    return {"true": True, "false": False}[text]


_PARSERS: dict[Leaf, Callable[[str], Any]] = {
    Leaf.TEXT: str,
    Leaf.NUMBER: _number,
    Leaf.DATE: dt.date.fromisoformat,
    Leaf.FLAG: _flag,
}
_LEAF_OF_EXTENSION = {"text": Leaf.TEXT, "number": Leaf.NUMBER, "date": Leaf.DATE}


def _fact_path(text: str) -> FieldPath:
    known: dict[str, Getter] = {
        "account.portal_customer": attrgetter("portal_customer"),
        "account.time_zone": attrgetter("time_zone"),
    }
    value = known.get(text)
    if value is None:
        match = _IDENTIFIER.fullmatch(text)
        if match is None:
            raise ValueError(f"unknown field {text!r}{did_you_mean(text, (*known, 'account.identifiers.NAME'))}")
        owner, name = attrgetter(match[1]), match[2]
        value = _compose((owner, _entry(name)))
    return FieldPath(text, Leaf.TEXT, Root.FACTS, value)


# What the invoice knows of itself without it being a field of the model.
_DERIVED: dict[str, tuple[Any, Getter]] = {
    "kind": (str, lambda invoice: KIND_BY_TYPE_CODE.get(invoice.type_code)),  # invoice, credit, debit
    "shown_number": (str, attrgetter("shown_number")),
    "order_numbers": (tuple[str, ...], attrgetter("order_numbers")),
}


class _Walk:
    """One walk down the model along a path, collecting how each step is read."""

    def __init__(self, text: str, vocabulary: Vocabulary) -> None:
        self.text = text
        self.vocabulary = vocabulary
        self.shape: Any = Invoice
        self.getters: list[Getter] = []
        self.lists: list[Getter] = []

    def compiled(self) -> FieldPath:
        for segment in self.text.split("."):
            self._step(segment)
        leaf = _leaf(self.shape)
        value = _compose(tuple(self.getters))
        if not self.lists:
            return FieldPath(self.text, leaf, Root.INVOICE, value)
        each = self.text[: self.text.rindex("[]") + 2]
        return FieldPath(self.text, leaf, Root.EACH, value, each, tuple(self.lists))

    def _step(self, segment: str) -> None:
        match = _SEGMENT.fullmatch(segment)
        if match is None:
            raise ValueError(f"{segment!r} in {self.text!r} is no field name")
        name, index = match[1], match[2]
        getter, self.shape = self._named(name)
        self.getters.append(getter)
        if index is None:
            return
        if get_origin(self.shape) is not tuple:
            raise ValueError(f"{name!r} in {self.text!r} is no list; leave [{index}] out")
        self.shape = _plain(get_args(self.shape)[0])
        if index:
            self.getters.append(_item(int(index)))
        else:
            self.lists.append(_compose((*self.getters, _or_nothing)))
            self.getters = []

    def _named(self, name: str) -> tuple[Getter, Any]:
        """How `name` is read from what the walk has reached, and what it is."""
        if isinstance(self.shape, Level):
            return self._extension(name, self.shape)
        if get_origin(self.shape) is dict:
            return _entry(name), _plain(get_args(self.shape)[1])
        if get_origin(self.shape) is tuple:
            reached = self.text[: self.text.index(f".{name}")]
            raise ValueError(f"{reached!r} is a list; write [] behind it for each of them, or [0] for the first")
        if not _is_part(self.shape):
            raise ValueError(f"{self.text!r} goes on where there is nothing more; leave {'.' + name!r} out")
        if name == "extensions" and self.shape in (Invoice, Line):
            return attrgetter(name), Level.LINE if self.shape is Line else Level.HEADER
        if self.shape is Invoice and name in _DERIVED:
            shape, getter = _DERIVED[name]
            return getter, shape
        fields = self.shape.model_fields
        if name not in fields:
            known = (*fields, *(_DERIVED if self.shape is Invoice else ()))
            where = "" if name == self.text else f" in {self.text!r}"
            raise ValueError(f"unknown field {name!r}{where}{did_you_mean(name, known)}")
        return attrgetter(name), _plain(fields[name].annotation)

    def _extension(self, name: str, level: Level) -> tuple[Getter, Any]:
        declared = self.vocabulary.at(level)
        if name not in declared:
            raise ValueError(
                f"the extension {name!r} is declared for no {level} in mappings/extensions.yaml"
                f"{did_you_mean(name, declared)}"
            )
        leaf = _LEAF_OF_EXTENSION[declared[name].type]
        if leaf is Leaf.TEXT:
            return _entry(name), leaf
        return _compose((_entry(name), lambda text: _typed_or_text(leaf, text))), leaf


def _typed_or_text(leaf: Leaf, text: str) -> Any:
    try:
        return typed(leaf, text)
    except ValueError:
        return text  # a check of its form will say so


def _plain(annotation: Any) -> Any:
    """A model's annotation without `| None` and constraints."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _plain(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        return _plain(next(part for part in get_args(annotation) if part is not type(None)))
    return annotation


def _is_part(shape: Any) -> bool:
    return isinstance(shape, type) and issubclass(shape, BaseModel)


def _leaf(shape: Any) -> Leaf:
    if isinstance(shape, Leaf):
        return shape
    if isinstance(shape, Level) or get_origin(shape) in (tuple, dict) or issubclass(shape, BaseModel):
        return Leaf.PART
    if issubclass(shape, bool):
        return Leaf.FLAG
    if issubclass(shape, dt.date):
        return Leaf.DATE
    return Leaf.NUMBER if issubclass(shape, (Decimal, int)) else Leaf.TEXT


def _compose(getters: tuple[Getter, ...]) -> Getter:
    """One getter after the other; None as soon as one gives None."""
    if not getters:
        return lambda owner: owner
    first, then = getters[0], getters[1:]
    if not then:
        return first
    rest = _compose(then)

    def read(owner: Any) -> Any:
        inner = first(owner)
        return None if inner is None else rest(inner)

    return read


def _entry(name: str) -> Getter:
    return lambda mapping: mapping.get(name)


def _item(index: int) -> Getter:
    return lambda items: items[index] if index < len(items) else None


def _or_nothing(items: Any) -> Any:
    return items or ()


def _indexes(owner: Any, lists: tuple[Getter, ...]) -> Iterator[tuple[int, ...]]:
    if not lists:
        yield ()
        return
    for i, item in enumerate(lists[0](owner) or ()):
        yield from ((i, *rest) for rest in _indexes(item, lists[1:]))
