"""Who trades with whom on the simulated network; the schema is described in hub/simulators/README.md."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, TypeVar

from hub.simulators.wire import MEGABYTE

T = TypeVar("T")


class ConfigError(Exception):
    """The configuration cannot be used; the message names the place."""


@dataclass(frozen=True)
class OrderLine:
    """One line of an order; `price` is for one unit."""

    number: str
    quantity: Decimal
    unit: str
    price: Decimal
    part: str = ""


@dataclass(frozen=True)
class Order:
    """A purchase order that went to the supplier through the network. `date` is compared as text."""

    id: str
    payload_id: str
    date: str
    currency: str
    lines: tuple[OrderLine, ...]

    def line(self, number: str) -> OrderLine | None:
        """The line with this number."""
        return next((line for line in self.lines if line.number == number), None)

    @property
    def total(self) -> Decimal:
        """What all lines come to."""
        return sum((line.quantity * line.price for line in self.lines), Decimal(0))


@dataclass(frozen=True)
class Supplier:
    """An account that sends invoices, with its credentials on both roads."""

    anid: str
    shared_secret: str = field(repr=False)
    client_id: str
    client_secret: str = field(repr=False)
    api_key: str = field(repr=False)


@dataclass(frozen=True)
class Buyer:
    """An account that receives invoices, with its transaction rules."""

    anid: str
    name: str
    suppliers: tuple[str, ...]  # their ANIDs: the trading relationships
    allow_non_po: bool = True
    allow_outside_orders: bool = False  # orders that did not come through the network
    require_tax_id: bool = False
    require_attachment: bool = False
    enforce_unique_numbers: bool = True
    reuse_number_after_refusal: bool = False
    auto_acknowledge: float | None = None  # seconds after Sent
    price_tolerance_percent: Decimal = Decimal(0)
    orders: tuple[Order, ...] = ()


@dataclass(frozen=True)
class RateLimit:
    """Calls of the invoices API that a supplier may make; None: any number."""

    minute: int | None = None
    hour: int | None = None
    day: int | None = None


@dataclass(frozen=True)
class Config:
    """The whole network."""

    suppliers: tuple[Supplier, ...]
    buyers: tuple[Buyer, ...]
    duplicate_style: str = "409"  # or "later": the reply is 200 and the second document becomes Failed
    queued_seconds: float = 0.0  # a document is Queued for so long before it is Sent
    failed_after_seconds: float = 0.0  # a document that breaks a buyer's rule is Sent for so long, then Failed
    token_seconds: int = 1440
    rate_limit: RateLimit = RateLimit()
    max_body_bytes: int = 100 * MEGABYTE
    max_attachment_bytes: int = 10 * MEGABYTE


def load(file: Path) -> Config:
    """The network in this JSON file. Raises ConfigError."""
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{file} cannot be read as JSON: {error}") from None
    config = _read(Config, data, str(file), _CONFIG)
    if config.duplicate_style not in ("409", "later"):
        raise ConfigError(f"{file}: duplicate_style is {config.duplicate_style!r}; write 409 or later")
    known = {supplier.anid for supplier in config.suppliers}
    for buyer in config.buyers:
        if strangers := sorted(set(buyer.suppliers) - known):
            raise ConfigError(f"{file}: buyer {buyer.anid} trades with {strangers}, who are not among the suppliers")
    return config


Convert = Callable[[Any, str], object]


def _read(cls: type[T], data: Any, where: str, convert: Mapping[str, Convert]) -> T:
    """`data` as a `cls`, each value through its converter or checked against the field's plain type."""
    if not isinstance(data, dict):
        raise ConfigError(f"{where} is {data!r}, not an object")
    known = {f.name: f for f in fields(cls)}  # type: ignore[arg-type]
    if unknown := sorted(data.keys() - known.keys()):
        raise ConfigError(f"{where}: {unknown} are unknown; there are {sorted(known)}")
    if missing := [f.name for f in known.values() if f.default is MISSING and f.name not in data]:
        raise ConfigError(f"{where}: {missing} are missing")
    plain: Mapping[str, Convert] = {"str": _text, "bool": _flag, "int": _count, "float": _seconds, "Decimal": _decimal}
    values: dict[str, object] = {}
    for name, value in data.items():
        kind, _, optional = str(known[name].type).partition(" | ")
        if value is None and optional:
            values[name] = None
        else:
            values[name] = (convert.get(name) or plain[kind])(value, f"{where}.{name}")
    return cls(**values)


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str) or not value:
        raise ConfigError(f"{where} is {value!r}, not a text")
    return value


def _flag(value: Any, where: str) -> bool:
    if not isinstance(value, bool):
        raise ConfigError(f"{where} is {value!r}, not true or false")
    return value


def _count(value: Any, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ConfigError(f"{where} is {value!r}, not a whole number above 0")
    return value


def _seconds(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        raise ConfigError(f"{where} is {value!r}, not a number of seconds")
    return float(value)


def _decimal(value: Any, where: str) -> Decimal:
    try:
        number = Decimal(value) if isinstance(value, str | int) else None
    except InvalidOperation:
        number = None
    if number is None or not number.is_finite():
        raise ConfigError(f"{where} is {value!r}, not a decimal number written as text")
    return number


def _number_or_text(value: Any, where: str) -> str:
    return str(value) if isinstance(value, int) else _text(value, where)


def _each(one: Convert) -> Convert:
    def convert(value: Any, where: str) -> object:
        if not isinstance(value, list):
            raise ConfigError(f"{where} is {value!r}, not a list")
        return tuple(one(item, f"{where}[{index}]") for index, item in enumerate(value))

    return convert


def _a(cls: type, convert: Mapping[str, Convert]) -> Convert:
    return lambda value, where: _read(cls, value, where, convert)


_ORDER = _a(Order, {"lines": _each(_a(OrderLine, {"number": _number_or_text}))})
_CONFIG: Mapping[str, Convert] = {
    "suppliers": _each(_a(Supplier, {})),
    "buyers": _each(_a(Buyer, {"suppliers": _each(_text), "orders": _each(_ORDER)})),
    "rate_limit": _a(RateLimit, {}),
}
