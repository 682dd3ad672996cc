"""Whose invoice is it: which of our companies sells, which customer buys, through which account it goes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from hub.config import Account, Config
from hub.contract.invoice import Invoice, Party
from hub.customers_csv import csv_content, parse_customers_csv
from hub.durable import write_whole
from hub.hubfile import Customer, Entity
from hub.identifiers import Identity, identity
from hub.requirements.finding import Finding, Severity
from hub.yamlsource import shown

_RULE = "route"
_LABELS = {
    "vat": "VAT id",
    "tax": "tax id",
    "legal": "legal id",
    "id": "id without a scheme",
    "email": "e-mail address",
}


@dataclass(frozen=True)
class Imported:
    """What became of the customers (keys) of a list that was imported; `removed` are no longer in it."""

    added: tuple[str, ...]
    changed: tuple[str, ...]
    unchanged: tuple[str, ...]
    removed: tuple[str, ...]


@dataclass(frozen=True)
class Route:
    """The way of one invoice, by keys of hub.yaml."""

    entity: str
    customer: str
    account: str


class _Role(NamedTuple):
    """One side of an invoice, in words."""

    field: str
    who: str
    part: str  # of hub.yaml
    column: str  # where else an identifier may be written


_SELLER = _Role("seller", "one of our companies", "entities", "")
_BUYER = _Role("buyer", "a customer we know", "customers", ", or in its id: column of the customer list")


class _Said(NamedTuple):
    """One identifier as an invoice gives it."""

    identity: Identity
    field: str
    value: str

    def __str__(self) -> str:
        return f"{_label(self.identity.scheme)} {shown(self.value)}"


class _Register:
    """Companies by every identifier that is known of them."""

    def __init__(self, companies: Mapping[str, Entity | Customer]) -> None:
        self.companies = companies
        self.holders: dict[Identity, str] = {}
        self.values: dict[tuple[str, str], str] = {}  # by company and scheme, as they were written
        for key, company in companies.items():
            for scheme, value in company.identifiers.items():
                known_as = identity(scheme, value)
                self.holders[known_as] = key
                self.values[key, known_as.scheme] = value


class Directory:
    """Everyone that hub.yaml and the customer list know, ready to be looked up."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._entities = _Register(config.entities)
        self._customers = _Register(config.customers)
        self._accounts: dict[tuple[str, str], list[Account]] = {}
        for account in config.accounts.values():
            self._accounts.setdefault((account.entity, account.customer), []).append(account)

    def seller(self, invoice: Invoice) -> str | Finding:
        """The entity that sells, or why it is not certain."""
        return _identify(invoice.seller, _SELLER, self._entities)

    def buyer(self, invoice: Invoice) -> str | Finding:
        """The customer that buys, or why it is not certain."""
        return _identify(invoice.buyer, _BUYER, self._customers)

    def account(self, entity: str, customer: str) -> str | Finding:
        """The one account that leads from this entity to this customer, or why there is not one."""
        accounts = self._accounts.get((entity, customer), [])
        if len(accounts) == 1:
            return accounts[0].key
        pair = f"{_called(self._entities, entity)} to {_called(self._customers, customer)}"
        if not accounts:
            return _finding(
                f"No account leads from {pair}.",
                f"Add one under accounts in hub.yaml (entity: {entity}, customer: {customer}, connection: …), "
                "or as a row of the customer list.",
            )
        keys = " and ".join(account.key for account in accounts)
        place = self._config.place_of(("accounts", accounts[1].key))
        return _finding(
            f"{len(accounts)} accounts lead from {pair}: {keys}. The hub does not choose between them.",
            "Keep one of them in hub.yaml or the customer list and delete the others.",
            place=f"{place.file}:{place.line}",
        )


def route(directory: Directory, invoice: Invoice) -> Route | tuple[Finding, ...]:
    """The way of this invoice by the identifiers it gives, all of which must agree; else everything that is unclear."""
    entity, customer = directory.seller(invoice), directory.buyer(invoice)
    if isinstance(entity, Finding) or isinstance(customer, Finding):
        return tuple(unclear for unclear in (entity, customer) if isinstance(unclear, Finding))
    account = directory.account(entity, customer)
    return (account,) if isinstance(account, Finding) else Route(entity, customer, account)


def whose(directory: Directory, invoice: Invoice) -> tuple[str | None, str | None]:
    """The keys of entity and customer as far as they are certain; None for what is not."""
    entity, customer = directory.seller(invoice), directory.buyer(invoice)
    return None if isinstance(entity, Finding) else entity, None if isinstance(customer, Finding) else customer


def import_customers(file: Path, config: Config) -> Imported:
    """Make `file` (CSV) the workspace's customer list, whole or not at all; raises SourceError with every fault."""
    content = csv_content(file, str(file))
    listed = parse_customers_csv(content, str(file))
    config.with_customers(listed)
    before = config.listed.by_customer() if config.listed else {}
    after = listed.by_customer()
    write_whole(config.customers_file, content)
    return Imported(
        added=tuple(key for key in after if key not in before),
        changed=tuple(key for key in after if key in before and after[key] != before[key]),
        unchanged=tuple(key for key in after if key in before and after[key] == before[key]),
        removed=tuple(key for key in before if key not in after),
    )


def _identify(party: Party, role: _Role, register: _Register) -> str | Finding:
    said = list(_said(party, role.field))
    by_company: dict[str, list[_Said]] = {}
    for one in said:
        if holder := register.holders.get(one.identity):
            by_company.setdefault(holder, []).append(one)
    named = f" {shown(party.name)}" if party.name else ""
    add = f"under {role.part} in hub.yaml (KEY: identifiers:){role.column}"
    if not said:
        return _finding(
            f"The invoice gives no identifier of its {role.field}{named}; the hub never goes by a name.",
            f"Put an identifier of the {role.field} (VAT id, tax id, legal id …) on the invoice, and the same {add}.",
            field=role.field,
            value=party.name or "",
        )
    if not by_company:
        return _finding(
            f"The invoice's {role.field}{named} is not {role.who}: nobody has its {_listed(said)}.",
            f"Add one of these {add}, or correct it on the invoice.",
            field=said[0].field,
            value=said[0].value,
        )
    if len(by_company) > 1:
        claims = "; ".join(f"its {_listed(ids)} is {_called(register, key)}'s" for key, ids in by_company.items())
        return _finding(
            f"The invoice's {role.field}{named} is {len(by_company)} at once: {claims}.",
            f"Correct the identifiers on the invoice, or move them {add} to the one whose they are.",
            field=role.field,
            value=party.name or "",
        )
    [(key, matched)] = by_company.items()
    if odd := _contradiction(said, key, register):
        ours = register.values[key, odd.identity.scheme]
        return _finding(
            f"The invoice's {role.field}{named} is {_called(register, key)} by its {_listed(matched)}, "
            f"but its {odd} is not the one we have: {ours}.",
            f"Correct it on the invoice, or at {role.part}.{key}.identifiers in hub.yaml{role.column}. A scheme in "
            "which the company has several identifiers is best left out there.",
            field=odd.field,
            value=odd.value,
        )
    return key


def _contradiction(said: list[_Said], key: str, register: _Register) -> _Said | None:
    """What the invoice says under a scheme in which none of its identifiers is one that we have of this company."""
    agreed = {one.identity.scheme for one in said if register.holders.get(one.identity) == key}
    odd = (one for one in said if (key, one.identity.scheme) in register.values and one.identity.scheme not in agreed)
    return next(odd, None)


def _said(party: Party, field: str) -> Iterator[_Said]:
    """Every identifier of a party. A legal id counts as such, and under the scheme it names."""
    given = [
        ("vat", party.vat_id, f"{field}.vat_id"),
        ("tax", party.tax_id, f"{field}.tax_id"),
        *((one.scheme, one.value, f"{field}.identifiers[{i}]") for i, one in enumerate(party.identifiers)),
    ]
    if party.legal_id:
        given.append(("legal", party.legal_id.value, f"{field}.legal_id"))
    if party.legal_id and party.legal_id.scheme:
        given.append((party.legal_id.scheme, party.legal_id.value, f"{field}.legal_id"))
    if party.endpoint:
        given.append((party.endpoint.scheme, party.endpoint.value, f"{field}.endpoint"))
    seen = set()
    for scheme, value, where in given:
        known_as = identity(scheme, value or "")
        if known_as.value and known_as not in seen:
            seen.add(known_as)
            yield _Said(known_as, where, value or "")


def _label(scheme: str) -> str:
    return _LABELS.get(scheme, scheme.upper())


def _listed(said: list[_Said]) -> str:
    return " and ".join(map(str, said))


def _called(register: _Register, key: str) -> str:
    return f"{register.companies[key].name} ({key})"


def _finding(message: str, fix: str, *, field: str = "", value: str = "", place: str = "") -> Finding:
    return Finding(_RULE, Severity.BLOCK, message, fix, field, value, place)
