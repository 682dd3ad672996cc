"""What the network checks of an invoice by itself: meaning, then arithmetic.

The rules are those of the DTD's text and of KB0394765 (hub/simulators/README.md lists them). The names after INV- are
the article's where it gives one; the others are this simulator's own.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

from lxml import etree

from hub.simulators.ariba.answers import Refusal
from hub.simulators.ariba.invoice import AMOUNTS, ZERO, Invoice, Line

TOLERANCE = Decimal("0.02")
CURRENCIES = frozenset(Path(__file__).with_name("currencies.txt").read_text(encoding="ascii").split())
HEADER_PURPOSES = frozenset({"creditMemo", "debitMemo"})
CREDIT_PURPOSES = frozenset({"creditMemo", "lineLevelCreditMemo"})
SHIPPING_ROLES = frozenset({"shipFrom", "shipTo", "carrierCorporate"})


def check(request: etree._Element, invoice: Invoice, sent_at: dt.datetime) -> None:
    """Raise Refusal (400) with the first thing that is wrong."""
    for wrong in (*(rule(invoice) for rule in MEANING), _dates(invoice, sent_at), _shipping(request, invoice)):
        if wrong:
            raise Refusal(400, wrong)
    for wrong in (rule(invoice) for rule in ARITHMETIC):
        if wrong:
            raise Refusal(400, wrong)


def _numbered(invoice: Invoice) -> str:
    return "" if invoice.number else "INVOICE_NO_ID: the invoice has no number"


def _one_currency(invoice: Invoice) -> str:
    if len(invoice.currencies) > 1:
        return f"INV-CURRENCY: {', '.join(invoice.currencies)} in one invoice; only one currency is taken"
    unknown = [currency for currency in invoice.currencies if currency not in CURRENCIES]
    return f"INV-CURRENCY: {unknown[0]!r} is no ISO 4217 code" if unknown else ""


def _header_or_lines(invoice: Invoice) -> str:
    """The indicator isHeaderInvoice says whether orders come summarised or by line; credits and debits fix which."""
    summarised = "isHeaderInvoice" in invoice.flags
    if summarised and invoice.by_line:
        return "SUMMARY_AND_DETAIL: isHeaderInvoice is yes, but there are InvoiceDetailOrder elements"
    if not summarised and not invoice.by_line:
        return "DETAIL_AND_SUMMARY: isHeaderInvoice is absent, but there are InvoiceDetailHeaderOrder elements"
    if summarised != (invoice.purpose in HEADER_PURPOSES) and invoice.purpose != "standard":
        return f"INV-PURPOSE: isHeaderInvoice is {'yes' if summarised else 'absent'} in a {invoice.purpose}"
    if summarised and "isAccountingInLine" in invoice.flags:
        return "INV-ACCOUNTING: isHeaderInvoice and isAccountingInLine exclude each other"
    return ""


def _line_numbers(invoice: Invoice) -> str:
    number, times = Counter(line.number for line in invoice.lines).most_common(1)[0]
    return f"INV-LINE_NUMBER: invoiceLineNumber {number} stands {times} times" if times > 1 else ""


def _refers_to_original(invoice: Invoice) -> str:
    if invoice.original or not (invoice.operation == "delete" or invoice.purpose == "lineLevelCreditMemo"):
        return ""
    return "INV-ORIGINAL: no DocumentReference to the original invoice's payloadID"


def _signs(invoice: Invoice) -> str:
    """Credits are negative in what is due, and at the lines by quantity or, as price adjustments, by price."""
    due = invoice.summary.due
    if invoice.purpose in HEADER_PURPOSES and due is None:
        return f"INV-SIGN: a {invoice.purpose} must state its DueAmount"
    if invoice.purpose != "standard" and due is not None and (due < 0) != (invoice.purpose in CREDIT_PURPOSES):
        return f"INV-SIGN: DueAmount is {due} in a {invoice.purpose}"
    if invoice.purpose == "lineLevelCreditMemo":
        return next((wrong for line in invoice.lines if (wrong := _line_sign(invoice, line))), "")
    return ""


def _line_sign(invoice: Invoice, line: Line) -> str:
    adjusts_price = "isPriceAdjustmentInLine" in invoice.flags
    quantity, price = line.quantity or ZERO, line.price or ZERO
    if line.subtotal > 0 or (quantity < 0 if adjusts_price else price < 0):
        how = (
            "a negative price and a positive quantity" if adjusts_price else "a negative quantity and a positive price"
        )
        return f"INV-SIGN: line {line.number} of this credit needs {how}, not {quantity} at {price}"
    return ""


def _dates(invoice: Invoice, sent_at: dt.datetime) -> str:
    if invoice.date > sent_at:
        return f"INV-DATE: invoiceDate {invoice.date.isoformat()} is later than the timestamp {sent_at.isoformat()}"
    return ""


def _shipping(request: etree._Element, invoice: Invoice) -> str:
    if "isShippingInLine" in invoice.flags and request[0].find("InvoiceDetailShipping") is not None:
        return "SHIPPING_IN_LINE_ERROR: isShippingInLine is yes, but the header has shipping"
    for shipping in request.iter("InvoiceDetailShipping"):
        roles = [contact.get("role", "") for contact in shipping.iterfind("Contact")]
        if strange := [role for role in roles if role not in SHIPPING_ROLES]:
            return f"INV_ROLE_IN_SHIPPING: role {strange[0]!r} in InvoiceDetailShipping"
        if not {"shipFrom", "shipTo"} <= set(roles):
            return "INV_ROLE_IN_SHIPPING: InvoiceDetailShipping needs both shipFrom and shipTo"
    return ""


def _line_subtotals(invoice: Invoice) -> str:
    for line in invoice.lines:
        if line.quantity is not None and line.price is not None:
            product = line.quantity * line.price
            if wrong := _differs(f"SUBTOTAL of line {line.number}", line.subtotal, product, "quantity x price"):
                return wrong
    return ""


def _subtotal(invoice: Invoice) -> str:
    lines = sum((line.subtotal for line in invoice.lines), ZERO)
    return _differs("SUBTOTAL", invoice.summary.subtotal, lines, "the lines' subtotals")


def _in_lines(invoice: Invoice) -> str:
    """What an indicator moves to the lines is the sum of the lines; a line without it counts as nothing."""
    for name, (indicator, _, _) in AMOUNTS.items():
        if indicator in invoice.flags:
            lines = sum((line.amounts[name] for line in invoice.lines), ZERO)
            if wrong := _differs(name.upper(), invoice.summary.amounts[name], lines, f"the lines' {name}"):
                return wrong
    return ""


def _gross(invoice: Invoice) -> str:
    summary = invoice.summary
    if summary.gross is None:
        return ""
    return _differs("GROSS", summary.gross, _computed_gross(invoice), "subtotal + tax + shipping + special handling")


def _net(invoice: Invoice) -> str:
    summary = invoice.summary
    gross = _computed_gross(invoice) if summary.gross is None else summary.gross
    net = gross - summary.amounts["discount"] + summary.charges - summary.allowances
    return _differs("NET", summary.net, net, "gross - discount + charges - allowances")


def _due(invoice: Invoice) -> str:
    summary = invoice.summary
    return "" if summary.due is None else _differs("DUE", summary.due, summary.net - summary.deposit, "net - deposit")


def _computed_gross(invoice: Invoice) -> Decimal:
    amounts = invoice.summary.amounts
    return invoice.summary.subtotal + amounts["tax"] + amounts["shipping"] + amounts["special handling"]


def _differs(what: str, stated: Decimal, computed: Decimal, how: str) -> str:
    if abs(stated - computed) <= TOLERANCE:
        return ""
    return f"INV-ARITHMETIC: {what} is {stated}, but {how} gives {computed.normalize():f}"


Rule = Callable[[Invoice], str]
MEANING: tuple[Rule, ...] = (_numbered, _one_currency, _header_or_lines, _line_numbers, _refers_to_original, _signs)
ARITHMETIC: tuple[Rule, ...] = (_line_subtotals, _subtotal, _in_lines, _gross, _net, _due)
