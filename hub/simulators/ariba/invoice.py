"""An InvoiceDetailRequest as the network reads it. Only structurally sound documents come here."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from urllib.parse import unquote

from lxml import etree

from hub.simulators.ariba.answers import Refusal
from hub.simulators.ariba.envelope import stamp

NUMBER = re.compile(r"-?\d{1,18}(\.\d{1,10})?")
ZERO = Decimal(0)
# Whose tax identifiers count as the supplier's, and under which names they come (ariba.md 2.4).
OWN_ROLES = frozenset({"from", "remitTo", "billFrom", "issuerOfInvoice", "taxRepresentative"})
TAX_DOMAINS = frozenset({"supplierTaxID", "vatID"})


@dataclass(frozen=True)
class Reference:
    """How InvoiceDetailOrderInfo names the order: by its request's payloadID, by its id, or not at all."""

    payload_id: str | None = None
    order_id: str | None = None
    order_date: str | None = None

    @property
    def is_order(self) -> bool:
        """Whether a purchase order is named."""
        return bool(self.payload_id or self.order_id)


@dataclass(frozen=True)
class Line:
    """One line. `price` is for one unit, after the price basis; both are None where the line has none."""

    number: str
    order_line: str | None
    quantity: Decimal | None
    price: Decimal | None
    taken: Decimal  # of the order line's quantity; a price adjustment corrects money, and takes nothing
    subtotal: Decimal
    amounts: Mapping[str, Decimal]  # of tax, shipping, special handling and discount, as far as they stand here


@dataclass(frozen=True)
class Portion:
    """What is invoiced of one order."""

    reference: Reference
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class Summary:
    """The totals as stated; None where one is not stated."""

    subtotal: Decimal
    amounts: Mapping[str, Decimal]
    gross: Decimal | None
    charges: Decimal
    allowances: Decimal
    net: Decimal
    deposit: Decimal
    due: Decimal | None


@dataclass(frozen=True)
class Invoice:
    """One document. `original` is the payloadID that it credits, debits or cancels."""

    number: str
    date: dt.datetime
    purpose: str
    operation: str
    original: str | None
    flags: frozenset[str]  # the indicators that say yes
    by_line: bool  # InvoiceDetailOrder, not InvoiceDetailHeaderOrder
    portions: tuple[Portion, ...]
    summary: Summary
    currencies: tuple[str, ...]  # each once, in order
    has_tax_id: bool
    cids: Mapping[str, int]  # content id → line of the document

    @property
    def lines(self) -> tuple[Line, ...]:
        """All lines of all orders."""
        return tuple(line for portion in self.portions for line in portion.lines)


# What may stand at the lines or in the summary: name → (indicator, element at the line, element in the summary).
AMOUNTS = {
    "tax": ("isTaxInLine", "Tax", "Tax"),
    "shipping": ("isShippingInLine", "InvoiceDetailLineShipping", "ShippingAmount"),
    "special handling": ("isSpecialHandlingInLine", "InvoiceDetailLineSpecialHandling", "SpecialHandlingAmount"),
    "discount": ("isDiscountInLine", "InvoiceDetailDiscount", "InvoiceDetailDiscount"),
}


def read(request: etree._Element) -> Invoice:
    """The invoice in this InvoiceDetailRequest. Raises Refusal (400, 406) for a value that is none."""
    header, *orders, summary = request
    flags = frozenset(str(name) for indicator in header.iterchildren(*_INDICATORS) for name in indicator.attrib)
    goods = "isPriceAdjustmentInLine" not in flags
    return Invoice(
        number=header.get("invoiceID", "").strip(),
        date=stamp(header.get("invoiceDate"), "InvoiceDetailRequestHeader@invoiceDate"),
        purpose=header.get("purpose", "standard"),
        operation=header.get("operation", "new"),
        original=_attribute(header.find("DocumentReference"), "payloadID"),
        flags=flags,
        by_line=orders[0].tag == "InvoiceDetailOrder",
        portions=tuple(
            Portion(_reference(order[0]), tuple(_line(line, goods=goods) for line in order.iterchildren(*_LINES)))
            for order in orders
        ),
        summary=_summary(request, summary),
        currencies=tuple(dict.fromkeys(money.get("currency", "") for money in request.iter("Money"))),
        has_tax_id=_has_tax_id(header),
        cids=_cids(request),
    )


_INDICATORS = ("InvoiceDetailHeaderIndicator", "InvoiceDetailLineIndicator")
_LINES = ("InvoiceDetailItem", "InvoiceDetailServiceItem", "InvoiceDetailOrderSummary")


def _reference(info: etree._Element) -> Reference:
    order = info.find("OrderReference")
    if order is not None:
        return Reference(
            _attribute(order.find("DocumentReference"), "payloadID"), order.get("orderID"), order.get("orderDate")
        )
    by_id = info.find("OrderIDInfo")
    return Reference(None, _attribute(by_id, "orderID"), _attribute(by_id, "orderDate"))


def _line(element: etree._Element, *, goods: bool) -> Line:
    rate = element.find("UnitRate")
    place = element if rate is None else rate
    money = element.find("UnitPrice/Money") if rate is None else rate.find("Money")
    price, quantity = _amount(money), _decimal(element.get("quantity"), "quantity", element)
    basis = place.find("PriceBasisQuantity")
    if price is not None and basis is not None:
        per = _decimal(basis.get("quantity"), "PriceBasisQuantity@quantity", basis)
        factor = _decimal(basis.get("conversionFactor"), "PriceBasisQuantity@conversionFactor", basis)
        if not per or not factor:
            raise Refusal(400, f"PriceBasisQuantity (line {basis.sourceline}) is 0 in quantity or conversionFactor")
        price = price * factor / per
    subtotal = _amount(element.find("SubtotalAmount/Money"))
    if subtotal is None:
        subtotal = _or_zero(price) * _or_zero(quantity)
    item = element.find("InvoiceDetailItemReference")
    if item is None:
        item = element.find("InvoiceDetailServiceItemReference")
    return Line(
        element.get("invoiceLineNumber", ""),
        _attribute(item, "lineNumber"),
        quantity,
        price,
        _or_zero(quantity) if goods else ZERO,
        subtotal,
        {name: _or_zero(_amount(element.find(f"{tag}/Money"))) for name, (_, tag, _) in AMOUNTS.items()},
    )


def _summary(request: etree._Element, summary: etree._Element) -> Summary:
    def stated(tag: str) -> Decimal | None:
        return _amount(summary.find(f"{tag}/Money"))

    def total(tag: str, *paths: str) -> Decimal:
        """The stated total of charges or allowances; the sum of the single ones where it is not stated."""
        given = stated(tag)
        singles = (_or_zero(_amount(money)) for path in paths for money in request.iterfind(path))
        return sum(singles, ZERO) if given is None else given

    return Summary(
        subtotal=_or_zero(stated("SubtotalAmount")),
        amounts={name: _or_zero(stated(tag)) for name, (_, _, tag) in AMOUNTS.items()},
        gross=stated("GrossAmount"),
        charges=total("TotalCharges", *(f".//{m}/Modification/AdditionalCost/Money" for m in _MODIFICATIONS)),
        allowances=total(
            "TotalAllowances",
            *(f".//{m}/Modification/AdditionalDeduction/DeductionAmount/Money" for m in _MODIFICATIONS),
        ),
        net=_or_zero(stated("NetAmount")),
        deposit=_or_zero(stated("DepositAmount")),
        due=stated("DueAmount"),
    )


_MODIFICATIONS = ("InvoiceHeaderModifications", "InvoiceItemModifications")


def _has_tax_id(header: etree._Element) -> bool:
    own = (p for p in header.iterfind("InvoicePartner") if _attribute(p.find("Contact"), "role") in OWN_ROLES)
    ids = [reference for partner in own for reference in partner.iter("IdReference")]
    extrinsics = header.iterfind("Extrinsic[@name='supplierVatID']")
    return any(i.get("domain") in TAX_DOMAINS and i.get("identifier", "").strip() for i in ids) or any(
        (extrinsic.text or "").strip() for extrinsic in extrinsics
    )


def _cids(request: etree._Element) -> dict[str, int]:
    """The content ids that Attachments refer to (RFC 2392)."""
    found: dict[str, int] = {}
    for url in request.iterfind(".//Attachment/URL"):
        scheme, colon, rest = (url.text or "").strip().partition(":")
        if scheme.lower() != "cid" or not colon or not rest:
            raise Refusal(400, f"Attachment/URL is {url.text!r} (line {url.sourceline}), not a cid: URL")
        line: Any = url.sourceline  # the stubs know no line
        found.setdefault(unquote(rest), line)
    return found


def _attribute(element: etree._Element | None, name: str) -> str | None:
    return None if element is None else (element.get(name) or "").strip() or None


def _amount(money: etree._Element | None) -> Decimal | None:
    return None if money is None else _decimal(money.text or "", "Money", money)


def _or_zero(amount: Decimal | None) -> Decimal:
    return ZERO if amount is None else amount


def _decimal(text: str | None, what: str, element: etree._Element) -> Decimal | None:
    if text is None:
        return None
    if not NUMBER.fullmatch(text.strip()):
        raise Refusal(400, f"{what} is {text!r} (line {element.sourceline}), not a plain decimal number as 1234.50")
    return Decimal(text.strip())
