"""A connector by itself, outside the hub: what it is lent, and invoices and keys to call it with."""

from __future__ import annotations

import copy
import datetime as dt
import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from functools import cache
from pathlib import Path
from typing import Any

from conformance.stand import Stand
from hub.config import Account, Config, load_config
from hub.contract.connector import (
    Connector,
    Context,
    Deadline,
    InvoiceKey,
    MappedInvoice,
    OpenRef,
    Page,
    Receipt,
    Refs,
    Stamp,
    Step,
    Tokens,
)
from hub.contract.invoice import Invoice, Kind
from hub.delivery import registry
from hub.requirements.mapping import load_mapping
from hub.requirements.paths import Facts

CONNECTION = "portal"
ONE_LINE = ((Decimal(1), Decimal("240.00")),)
_TYPES = {Kind.INVOICE: "380", Kind.CREDIT: "381", Kind.DEBIT: "383"}
_CENT = Decimal("0.01")


@dataclass
class Lent:
    """The hub's side of a connector's context, noting what is asked of it."""

    kept: list[bytes] = field(default_factory=list)  # diagnostics
    stored: dict[str, bytes] = field(default_factory=dict)  # attachments
    points: int = 0  # of no return

    def wait(self, verb: str) -> None:
        """The gate is always open."""

    def keep(self, name: str, content: bytes) -> None:
        self.kept.append(name.encode() + content)

    def read(self, sha256: str) -> bytes:
        if sha256 not in self.stored:
            raise FileNotFoundError(sha256)
        return self.stored[sha256]

    def point_of_no_return(self) -> None:
        self.points += 1

    def context(self, tokens: Tokens | None, seconds: float) -> Context:
        """A context of this side."""
        shared = tokens or Tokens()
        return Context(self, self, self, shared, threading.Event(), Deadline(seconds), self.point_of_no_return)


def write_workspace(folder: Path, stand: Stand, settings: dict[str, Any] | None = None) -> None:
    """hub.yaml for this stand, with its secrets in files beside it."""
    (folder / "secrets").mkdir(parents=True, exist_ok=True)
    for number, secret in enumerate(stand.secrets):
        path = folder / "secrets" / str(number)
        path.touch(mode=0o600)
        path.write_text(secret, encoding="utf-8")

    def referring(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: referring(part) for name, part in value.items()}
        return f"file:secrets/{stand.secrets.index(value)}" if value in stand.secrets else value

    connection = {"connector": stand.name, "settings": referring(stand.settings() if settings is None else settings)}
    told = {"database": "hub.db", **stand.hub_yaml(), "connections": {CONNECTION: connection}}
    (folder / "hub.yaml").write_text(json.dumps(told, indent=1, default=str), encoding="utf-8")


@cache
def stamp(name: str = "1") -> Stamp:
    """A stamp of its own for every name, the same whenever it is asked for."""
    at = dt.datetime.now(dt.UTC).replace(microsecond=0)
    return Stamp(f"{at:%Y%m%d%H%M%S}.{name}@conformance.example", at, f"part-{name}", f"marker-{name}-8d1f0c6e")


@dataclass
class Desk:
    """Calls one connector as the hub would, without a ledger."""

    stand: Stand
    config: Config
    prefix: str = ""  # of every number; a sandbox keeps what earlier runs left
    lent: Lent = field(default_factory=Lent)
    live_account: str | None = None

    @classmethod
    def at(cls, stand: Stand, folder: Path) -> Desk:
        """A desk with the configuration of this stand."""
        write_workspace(folder, stand)
        return cls(stand, load_config(folder, registry.settings_model))

    def account(self, *, unique: bool = True) -> Account:
        """The account that is tried."""
        return self.config.accounts[self.live_account or self.stand.account(unique=unique)]

    @contextmanager
    def connector(
        self, settings: dict[str, Any] | None = None, *, tokens: Tokens | None = None, seconds: float = 30
    ) -> Iterator[Connector]:
        """The connector, closed afterwards; with the stand's settings or with these, and so long for all calls."""
        model: Any = self.config.connections[self.account().connection].settings
        if settings is not None:
            model = self.stand.connector.Settings.model_validate(settings)
        made = self.stand.connector(model, self.lent.context(tokens, seconds))
        try:
            yield made
        finally:
            made.close()

    def invoice(
        self,
        number: str,
        *,
        unique: bool = True,
        kind: Kind = Kind.INVOICE,
        of: str | None = None,
        text: str = "",
        lines: Sequence[tuple[Decimal, Decimal]] = ONE_LINE,
        **more: Any,
    ) -> Invoice:
        """An invoice of these quantities and prices, each net and each tax rounded to the cent."""
        base = copy.deepcopy(self.stand.invoice(unique=unique))
        (line,), (tax,) = base.pop("lines"), base.pop("taxes")
        made = [line | {"id": str(n), "quantity": q, "price": p, "net": _cents(q * p)} for n, (q, p) in _counted(lines)]
        if text:
            made[0]["name"] = f"{made[0]['name']} {text}"
        net = sum((each["net"] for each in made), Decimal(0))
        due = _cents(net * Decimal(str(tax["rate"])) / 100)
        return Invoice.model_validate(
            base
            | {
                "number": f"{self.prefix}{number}",
                "issue_date": dt.datetime.now(dt.UTC).date() - dt.timedelta(days=1),
                "type_code": _TYPES[kind],
                "lines": made,
                "taxes": [tax | {"taxable": net, "amount": due}],
                "totals": {"lines": net, "without_tax": net, "tax": due, "with_tax": net + due, "payable": net + due},
                "notes": [{"text": text}] if text else [],
                "preceding": [{"number": of}] if of else [],
            }
            | more
        )

    def mapped(self, invoice: Invoice, *, unique: bool = True, related: dict[str, Refs] | None = None) -> MappedInvoice:
        """The invoice as the hub's own mapping gives it to the connector."""
        account = self.account(unique=unique)
        mapping = load_mapping(self.config.mappings_folders, self.stand.name, account.customer, account.entity)
        facts = Facts(
            portal_customer=account.portal_customer,
            time_zone=account.time_zone.key,
            account=account.identifiers,
            entity=self.config.entities[account.entity].identifiers,
            customer=self.config.customers[account.customer].identifiers,
        )
        fields, missing = mapping.apply(invoice, facts)
        assert missing == (), missing
        return MappedInvoice(invoice, fields.fields, fields.lines, related or {})

    def key(self, invoice: Invoice, *, unique: bool = True, attempted: bool = True, by: str = "1") -> InvoiceKey:
        """What the portal is asked for this invoice by; `attempted`: after a submit of now."""
        account = self.account(unique=unique)
        now = dt.datetime.now(dt.UTC)
        return InvoiceKey(
            entity=account.entity,
            customer=account.customer,
            kind=invoice.kind,
            number=invoice.number,
            shown_number=invoice.shown_number,
            issue_date=invoice.issue_date,
            total=invoice.total,
            portal_customer=account.portal_customer,
            payload_id=stamp(by).payload_id if attempted else None,
            first_attempt=now if attempted else None,
            last_attempt=now if attempted else None,
        )

    def steps(self, connector: Connector, invoice: Invoice, *, unique: bool = True, by: str = "1") -> tuple[Step, ...]:
        """What the connector prepares of this invoice."""
        return connector.prepare(self.mapped(invoice, unique=unique), stamp(by), None)

    def submit(self, connector: Connector, invoice: Invoice, *, unique: bool = True, by: str = "1") -> Receipt:
        """Prepare it and send every step; the last receipt."""
        return self.send(connector, self.steps(connector, invoice, unique=unique, by=by))

    def send(self, connector: Connector, steps: Sequence[Step]) -> Receipt:
        """Send these steps in their order; the last receipt."""
        done: dict[str, Receipt] = {}
        for step in steps:
            done[step.name] = connector.submit(step, done)
        return done[steps[-1].name]

    def poll(self, connector: Connector, *keys: InvoiceKey, cursor: str | None = None) -> list[Page]:
        """Every page that the portal has for these."""
        return list(connector.statuses(cursor, [OpenRef(key, None) for key in keys]))


def _cents(amount: Decimal) -> Decimal:
    return amount.quantize(_CENT, ROUND_HALF_UP)


def _counted(lines: Sequence[tuple[Decimal, Decimal]]) -> Iterator[tuple[int, tuple[Decimal, Decimal]]]:
    return enumerate(lines, 1)
