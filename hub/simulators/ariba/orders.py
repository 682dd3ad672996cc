"""An invoice against the buyer's orders and transaction rules."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal

from hub.simulators.ariba.answers import Refusal, with_reference
from hub.simulators.ariba.config import Buyer, Order
from hub.simulators.ariba.invoice import ZERO, Invoice, Line, Portion, Reference

ROUNDING = Decimal("0.005")
AMOUNT = ""  # beside the numbers of order lines


def ordered(invoice: Invoice, buyer: Buyer) -> tuple[tuple[Order, Portion], ...]:
    """What is invoiced of each order known here. Raises Refusal: 417 for what is not there, 400 for what differs."""
    found = []
    for portion in invoice.portions:
        order = _order(portion.reference, buyer)
        if order is None:
            continue
        if invoice.currencies != (order.currency,):
            told = ", ".join(invoice.currencies)
            raise Refusal(400, f"INV-CURRENCY: the invoice is in {told}, order {order.id} in {order.currency}")
        for line in portion.lines:
            _check_line(invoice, line, order, buyer)
        found.append((order, portion))
    return tuple(found)


def _order(reference: Reference, buyer: Buyer) -> Order | None:
    """The order that is named, or None where none has to be known."""
    if not reference.is_order:
        return None
    if reference.payload_id:
        order = next((o for o in buyer.orders if o.payload_id == reference.payload_id), None)
        if order is None:
            raise Refusal(417, f"Order not found: no order was sent with payloadID {reference.payload_id}")
        if reference.order_id and reference.order_id != order.id:
            raise Refusal(417, f"Order not found: {reference.payload_id} is order {order.id}, not {reference.order_id}")
        return order
    order = next((o for o in buyer.orders if o.id == reference.order_id), None)
    if order is None and not buyer.allow_outside_orders:
        text = f"INV-15: order {reference.order_id} not found; {buyer.name} does not accept invoices for orders sent"
        raise Refusal(417, f"{text} outside the network")
    if order and reference.order_date not in (None, order.date):  # KB0392737: in the same format as in the order
        raise Refusal(417, f"Order not found: {order.id} is dated {order.date}, not {reference.order_date}")
    return order


def _check_line(invoice: Invoice, line: Line, order: Order, buyer: Buyer) -> None:
    if line.order_line is None:
        return
    ordered_line = order.line(line.order_line)
    if ordered_line is None:
        raise Refusal(417, f"Order line not found: order {order.id} has no line {line.order_line}")
    if line.price is None or "isPriceAdjustmentInLine" in invoice.flags:
        return
    allowed = ordered_line.price * buyer.price_tolerance_percent / 100 + ROUNDING
    if abs(line.price - ordered_line.price) > allowed:
        text = f"INV-PRICE: line {line.number} is priced {line.price:f}, order {order.id} line {line.order_line}"
        raise Refusal(400, f"{text} has {ordered_line.price}")


def taken(parts: Iterable[tuple[Order, Portion]], order: Order) -> dict[str, Decimal]:
    """What an invoice takes of an order: the quantity of each order line, and the money under AMOUNT."""
    sums = {AMOUNT: ZERO}
    for line in (line for of, portion in parts if of is order for line in portion.lines):
        sums[AMOUNT] += line.subtotal
        if line.order_line:
            sums[line.order_line] = sums.get(line.order_line, ZERO) + line.taken
    return sums


def check_remaining(parts: Sequence[tuple[Order, Portion]], before: Callable[[Order], Mapping[str, Decimal]]) -> None:
    """Raise Refusal (500, as KB0646639 shows it) where an order would be invoiced beyond what is left of it.

    `before` gives what living invoices have taken of an order so far.
    """
    for order in {order.id: order for order, _ in parts}.values():
        had, now = before(order), taken(parts, order)
        limits = {AMOUNT: order.total + ROUNDING, **{line.number: line.quantity for line in order.lines}}
        if any(amount > 0 and had.get(key, ZERO) + amount > limits[key] for key, amount in now.items()):
            raise with_reference(500, "Error:null")


def broken_rule(invoice: Invoice, attachments: int, buyer: Buyer) -> str:
    """Why the network will refuse an invoice that it took in; "" where the buyer's rules are kept (ariba.md 4.2, 6)."""
    if not buyer.allow_non_po and not all(portion.reference.is_order for portion in invoice.portions):
        return "INV-143: Cannot create a non-PO invoice with pricing details."
    if buyer.require_tax_id and not invoice.has_tax_id:
        return "INV-98: Your Tax ID value is missing."
    if buyer.require_attachment and not attachments:
        return "INV-ATTACHMENT: The customer requires an attachment."
    return ""
