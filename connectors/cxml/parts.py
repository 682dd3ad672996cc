"""The pieces an InvoiceDetailRequest is put together from, each an element or a few, in the DTD's order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from lxml.etree import SubElement, _Element

from connectors.cxml.envelope import XML_LANG
from hub.contract.invoice import Address, AllowanceCharge, Party, Tax

# cXML's free-text word for a kind of tax (1.2.069, TaxDetail@category); any other kind goes out in lower case.
_TAX_WORDS = {"use": "usage"}
# UNTDID 5305 → TaxDetail@exemptDetail. cXML has no word for reverse charge and the like: exempt, with the law's text.
_EXEMPT = {"Z": "zeroRated", "E": "exempt", "AE": "exempt", "K": "exempt", "G": "exempt", "O": "exempt"}
_ZERO = Decimal(0)


@dataclass(frozen=True)
class Writer:
    """What every amount and text of one document shares. `sign` is -1 where the portal wants credits negative."""

    currency: str
    language: str
    sign: int

    def amount(self, value: Decimal) -> str:
        """An amount as the portal signs it."""
        return plain(value if self.sign > 0 else value.copy_negate())

    def money(self, parent: _Element, tag: str, value: Decimal) -> _Element:
        """`<tag><Money currency="…">…</Money></tag>`; returns the Money."""
        return self.bare_money(SubElement(parent, tag), self.amount(value))

    def bare_money(self, parent: _Element, value: str) -> _Element:
        """A Money directly in `parent`."""
        money = SubElement(parent, "Money")
        money.set("currency", self.currency)
        money.text = value
        return money

    def text(self, parent: _Element, tag: str, value: str) -> _Element:
        """An element with text in the document's language."""
        element = SubElement(parent, tag)
        element.set(XML_LANG, self.language)
        element.text = value
        return element

    def contact(self, parent: _Element, role: str, party: Party, address_id: str | None, email: str | None) -> None:
        """A Contact with its PostalAddress; the party must have passed `missing_in_address`."""
        contact = SubElement(parent, "Contact")
        contact.set("role", role)
        if address_id:
            contact.set("addressID", address_id)
        self.text(contact, "Name", party.name or "")
        if party.address is not None:
            address(contact, party.address)
        if email:
            SubElement(contact, "Email").text = email

    def tax(self, parent: _Element, taxes: Sequence[Tax], total: Decimal, due: str | None) -> _Element:
        """A Tax with a TaxDetail each; returns its total's Money. A withholding tax counts against the total.

        `due` is the tax point date as the document writes it. Every tax must have an amount.
        """
        tax = SubElement(parent, "Tax")
        money = self.bare_money(tax, self.amount(total))
        self.text(tax, "Description", ", ".join(dict.fromkeys(each.kind for each in taxes)))
        for each in taxes:
            detail = SubElement(tax, "TaxDetail", _tax_attributes(each, due))
            if each.taxable is not None:
                self.money(detail, "TaxableAmount", each.taxable)
            value = _ZERO if each.amount is None else each.amount
            self.money(detail, "TaxAmount", value.copy_negate() if each.withholding else value)
            if each.location:
                self.text(detail, "TaxLocation", each.location)
            if each.exemption_reason:
                self.text(detail, "Description", each.exemption_reason)
            if each.exemption_code:
                SubElement(detail, "TaxExemption", exemptCode=each.exemption_code)
        return money

    def modifications(self, parent: _Element, tag: str, changes: Sequence[AllowanceCharge]) -> None:
        """Allowances and charges, each as a Modification."""
        group = SubElement(parent, tag)
        for change in changes:
            modification = SubElement(group, "Modification")
            if change.charge:
                self.money(modification, "AdditionalCost", change.amount)
            else:
                self.money(SubElement(modification, "AdditionalDeduction"), "DeductionAmount", change.amount)
            detail = SubElement(modification, "ModificationDetail", name="Charge" if change.charge else "Allowance")
            if change.reason_code:
                detail.set("code", change.reason_code)
            if change.reason:
                self.text(detail, "Description", change.reason)

    def comments(self, parent: _Element, texts: Iterable[str | None], content_ids: Sequence[str] = ()) -> None:
        """One Comments: each text on its own line, an Attachment for each content id; none if there is neither."""
        text = "\n".join(each for each in texts if each)
        if text or content_ids:
            comments = self.text(parent, "Comments", text)
            for content_id in content_ids:
                attachment(comments, content_id)


def plain(value: Decimal) -> str:
    """A number without exponent, sign of zero or thousands separators; as many decimals as it came with."""
    return format(value or value.copy_abs(), "f")


def attachment(parent: _Element, content_id: str) -> None:
    """A reference to the MIME part with this Content-ID (1.2.069, Attachment)."""
    SubElement(SubElement(parent, "Attachment"), "URL").text = f"cid:{content_id}"


def address(parent: _Element, where: Address) -> None:
    """A PostalAddress."""
    postal = SubElement(parent, "PostalAddress")
    for street in where.lines:
        SubElement(postal, "Street").text = street
    for tag, value in (("City", where.city), ("State", where.region), ("PostalCode", where.postal_code)):
        if value:
            SubElement(postal, tag).text = value
    country(postal, where.country or "")


def country(parent: _Element, code: str) -> None:
    """A Country, named by its ISO 3166 code."""
    element = SubElement(parent, "Country")
    element.set("isoCountryCode", code)
    element.text = code


def extrinsics(parent: _Element, named: Mapping[str, str]) -> None:
    """An Extrinsic for each name, in the names' order."""
    for name in sorted(named):
        SubElement(parent, "Extrinsic", name=name).text = named[name]


def missing_in_address(party: Party) -> tuple[str, ...]:
    """What a Contact cannot do without and this party does not have."""
    address = party.address
    have = {
        "name": party.name,
        "street": address and address.lines,
        "city": address and address.city,
        "country": address and address.country,
    }
    return tuple(part for part, value in have.items() if not value)


def _tax_attributes(tax: Tax, due: str | None) -> dict[str, str]:
    word = tax.kind.lower()
    attributes = {"purpose": "tax", "category": _TAX_WORDS.get(word, word)}
    if tax.rate is not None:
        attributes["percentageRate"] = plain(tax.rate)
    if due is not None:
        attributes["taxPointDate"] = due
    if tax.category in _EXEMPT:
        attributes["exemptDetail"] = _EXEMPT[tax.category]
    if tax.withholding:
        attributes["isWithholdingTax"] = "yes"
    return attributes
