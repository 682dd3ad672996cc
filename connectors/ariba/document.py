"""A planned invoice as the exact bytes of its InvoiceDetailRequest.

Pure: nothing but the arguments goes in. Element order is the DTD's (cXML 1.2.069, valid against 1.2.037 as well).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal, localcontext

from lxml.etree import SubElement, _Element

from connectors.ariba.plan import EXTRINSIC, Item, Order, Plan, plan
from connectors.ariba.settings import AribaSettings
from connectors.cxml.amounts import EXACT
from connectors.cxml.envelope import MEDIA_TYPE, Envelope, forbidden, serialise
from connectors.cxml.parts import Writer, attachment, country, extrinsics, plain
from connectors.cxml.schema import problems
from hub.contract.connector import MappedInvoice, Repeat, Stamp, Step
from hub.contract.errors import Unpreparable


def prepare(mapped: MappedInvoice, stamp: Stamp, settings: AribaSettings) -> tuple[Step, ...]:
    """The one step that brings this invoice to the network; raises Unpreparable, in a clerk's words."""
    planned = plan(mapped, stamp, settings)
    envelope = Envelope(
        sender=settings.identity,
        receiver=planned.fields["to_anid"],
        secret=stamp.marker if settings.shared_secret else None,
        payload_id=stamp.payload_id,
        at=stamp.at,
        mode=settings.deployment_mode,
        version=settings.cxml_version,
        language=settings.language,
        user_agent=settings.user_agent,
    )
    root, request = envelope.open("InvoiceDetailRequest")
    try:
        with localcontext(EXACT):
            _write(request, planned, settings.language)
    except ValueError:  # lxml's, for a character that no XML document can carry
        wrong = tuple(_unprintable(mapped)) or ("the mapping names a field with a character that XML cannot carry",)
        raise Unpreparable(wrong) from None
    document = serialise(root, settings.cxml_version, "InvoiceDetail")
    if wrong := problems(root, document, settings.dtd):
        raise Unpreparable(wrong)
    return (
        Step(
            name="invoice",
            bytes=document,
            key=stamp.payload_id,
            repeat=Repeat.REFUSES if settings.portal_refuses_repeats else Repeat.UNSAFE,
            media_type=MEDIA_TYPE,
            enclosures=planned.enclosures,
            boundary=stamp.boundary if planned.enclosures else None,
        ),
    )


def _write(request: _Element, planned: Plan, language: str) -> None:
    writer = Writer(planned.invoice.currency, language, planned.case.sign)
    _header(request, planned, writer)
    orders: dict[Order, list[Item]] = {}
    for item in planned.items:
        orders.setdefault(item.order, []).append(item)
    for place, (order, items) in enumerate(orders.items(), 1):
        if planned.case.header:
            _header_order(request, planned, writer, order, items, place)
        else:
            element = SubElement(request, "InvoiceDetailOrder")
            _order_info(element, planned, order)
            for item in items:
                _item(element, planned, writer, item)
    _summary(request, planned, writer)


def _header(request: _Element, planned: Plan, writer: Writer) -> None:
    invoice, fields = planned.invoice, planned.fields
    header = SubElement(
        request,
        "InvoiceDetailRequestHeader",
        invoiceID=invoice.shown_number,
        purpose=planned.case.purpose,
        operation="new",
        invoiceDate=planned.at(invoice.portal_date or invoice.issue_date),
        invoiceOrigin="supplier",
    )
    of_header = SubElement(header, "InvoiceDetailHeaderIndicator")
    of_lines = SubElement(header, "InvoiceDetailLineIndicator")
    if planned.case.header:
        of_header.set("isHeaderInvoice", "yes")
    elif planned.amounts.tax_in_lines:
        of_lines.set("isTaxInLine", "yes")
    _partners(header, planned, writer)
    if planned.original is not None:
        original = planned.original
        if original.payload_id is not None:
            SubElement(header, "DocumentReference", payloadID=original.payload_id)
        named = SubElement(header, "InvoiceIDInfo", invoiceID=original.number)
        if original.date is not None:
            named.set("invoiceDate", planned.at(original.date))
    if planned.shipping is not None:
        shipping = SubElement(header, "InvoiceDetailShipping")
        if invoice.delivery is not None and invoice.delivery.date is not None:
            shipping.set("shippingDate", planned.at(invoice.delivery.date))
        writer.contact(shipping, "shipFrom", planned.shipping[0], None, None)
        writer.contact(shipping, "shipTo", planned.shipping[1], fields.get("ship_to_id"), None)
    _terms(header, planned)
    period = invoice.period
    if period is not None and period.start and period.end:
        SubElement(header, "Period", startDate=planned.at(period.start), endDate=planned.at(period.end))
    writer.comments(header, (note.text for note in invoice.notes), [each.content_id for each in planned.enclosures])
    _extrinsics(header, planned)


def _partners(header: _Element, planned: Plan, writer: Writer) -> None:
    seller, fields = planned.invoice.seller, planned.fields
    tax_id = fields.get("supplier_tax_id") or seller.tax_id
    ours, theirs = _vat_ids(planned)
    for role, party in planned.partners:
        partner = SubElement(header, "InvoicePartner")
        email = fields.get("sold_to_email") if role == "soldTo" else party.contact.email if party.contact else None
        writer.contact(partner, role, party, fields.get("bill_to_id") if role == "billTo" else None, email)
        ids = {
            "supplierTaxID": tax_id if role in ("from", "remitTo") and party is seller else None,
            "vatID": {"from": ours, "soldTo": theirs}.get(role, party.vat_id),
        }
        for domain, identifier in ids.items():
            if identifier:
                SubElement(partner, "IdReference", domain=domain, identifier=identifier)


def _terms(header: _Element, planned: Plan) -> None:
    for days, percent in planned.terms:
        term = SubElement(header, "PaymentTerm", payInNumberOfDays=days)
        if percent is not None:
            SubElement(SubElement(term, "Discount"), "DiscountPercent", percent=percent)


def _vat_ids(planned: Plan) -> tuple[str | None, str | None]:
    """The supplier's and the buyer's: the mapping's, else the invoice's."""
    invoice, fields = planned.invoice, planned.fields
    return fields.get("supplier_vat_id") or invoice.seller.vat_id, fields.get("buyer_vat_id") or invoice.buyer.vat_id


def _extrinsics(header: _Element, planned: Plan) -> None:
    named = dict(zip(("supplierVatID", "buyerVatID"), _vat_ids(planned), strict=True))
    texts = {name: value for name, value in named.items() if value} | _named_extrinsics(planned.fields)
    if planned.image is not None:
        texts.pop("invoicePDF", None)
    extrinsics(header, texts)
    if planned.image is not None:
        attachment(SubElement(header, "Extrinsic", name="invoicePDF"), planned.image.content_id)


def _named_extrinsics(fields: Mapping[str, str]) -> dict[str, str]:
    return {name.removeprefix(EXTRINSIC): value for name, value in fields.items() if name.startswith(EXTRINSIC)}


def _order_info(parent: _Element, planned: Plan, order: Order) -> None:
    """The reference, in the DTD's order of preference; an empty OrderIDInfo says that there is no order."""
    info = SubElement(parent, "InvoiceDetailOrderInfo")
    if order.number:
        named = SubElement(info, "OrderReference" if order.payload_id else "OrderIDInfo", orderID=order.number)
        if order.date:
            named.set("orderDate", order.date)
        if order.payload_id:
            SubElement(named, "DocumentReference", payloadID=order.payload_id)
    elif planned.invoice.contract_reference:
        SubElement(info, "MasterAgreementIDInfo", agreementID=planned.invoice.contract_reference)
    elif planned.invoice.sales_order_reference:
        SubElement(info, "SupplierOrderInfo", orderID=planned.invoice.sales_order_reference)
    else:
        SubElement(info, "OrderIDInfo", orderID="")


def _header_order(
    request: _Element, planned: Plan, writer: Writer, order: Order, items: list[Item], place: int
) -> None:
    element = SubElement(request, "InvoiceDetailHeaderOrder")
    _order_info(element, planned, order)
    summary = SubElement(element, "InvoiceDetailOrderSummary", invoiceLineNumber=str(place))
    writer.money(summary, "SubtotalAmount", sum((item.amounts.subtotal for item in items), Decimal(0)))
    writer.comments(summary, (_description(item) for item in items))


def _item(parent: _Element, planned: Plan, writer: Writer, item: Item) -> None:
    line, fields, sums = item.line, item.fields, item.amounts
    quantity = writer.amount(line.quantity)
    element = SubElement(parent, "InvoiceDetailItem", invoiceLineNumber=item.number, quantity=quantity)
    SubElement(element, "UnitOfMeasure").text = fields["unit"]
    writer.bare_money(SubElement(element, "UnitPrice"), plain(sums.price))
    if line.price_base is not None and line.price_base != 1:
        basis = SubElement(element, "PriceBasisQuantity", quantity=plain(line.price_base), conversionFactor="1")
        SubElement(basis, "UnitOfMeasure").text = fields["unit"]
    _item_reference(element, writer, item)
    writer.money(element, "SubtotalAmount", sums.subtotal)
    tax = sums.tax if planned.amounts.tax_in_lines else Decimal(0)
    if planned.amounts.tax_in_lines:
        writer.tax(element, line.taxes, sums.tax, None)
        writer.money(element, "GrossAmount", sums.subtotal + tax)
    if line.allowances_charges:
        writer.modifications(element, "InvoiceItemModifications", line.allowances_charges)
        writer.money(element, "TotalCharges", sums.charges)
        writer.money(element, "TotalAllowances", sums.allowances)
        writer.money(element, "TotalAmountWithoutTax", line.net)
        writer.money(element, "NetAmount", line.net + tax)
    if line.note or line.period:
        served = f"{line.period.start or '…'} to {line.period.end or '…'}" if line.period else None
        writer.comments(element, (line.note, served))
    extrinsics(element, _named_extrinsics(fields))


def _item_reference(element: _Element, writer: Writer, item: Item) -> None:
    line, fields = item.line, item.fields
    reference = SubElement(element, "InvoiceDetailItemReference", lineNumber=item.order_line)
    part = fields.get("supplier_part_id") or line.seller_item_id
    if part:
        ids = SubElement(reference, "ItemID")
        SubElement(ids, "SupplierPartID").text = part
        if line.buyer_item_id:
            SubElement(ids, "BuyerPartID").text = line.buyer_item_id
    if description := _description(item):
        writer.text(reference, "Description", description)
    if "classification_code" in fields:
        classified = SubElement(reference, "Classification", domain=fields["classification_domain"])
        classified.text = fields["classification_code"]
    if line.origin_country:
        country(reference, line.origin_country)


def _description(item: Item) -> str:
    """The mapping's, else the line's name and description."""
    line = item.line
    return item.fields.get("description") or ": ".join(dict.fromkeys(filter(None, (line.name, line.description))))


def _summary(request: _Element, planned: Plan, writer: Writer) -> None:
    invoice, sums = planned.invoice, planned.amounts
    summary = SubElement(request, "InvoiceDetailSummary")
    writer.money(summary, "SubtotalAmount", sums.subtotal)
    point = planned.at(invoice.tax_point_date) if invoice.tax_point_date else None
    tax = writer.tax(summary, invoice.taxes, sums.tax, point)
    if invoice.tax_currency and invoice.totals.tax_accounting is not None:
        tax.set("alternateAmount", writer.amount(invoice.totals.tax_accounting))
        tax.set("alternateCurrency", invoice.tax_currency)
    if sums.handling:
        writer.money(summary, "SpecialHandlingAmount", sums.handling)
    if sums.shipping:
        writer.money(summary, "ShippingAmount", sums.shipping)
    writer.money(summary, "GrossAmount", sums.gross)
    if sums.changes:
        writer.modifications(summary, "InvoiceHeaderModifications", sums.changes)
    if sums.charges or sums.allowances:
        writer.money(summary, "TotalCharges", sums.charges)
        writer.money(summary, "TotalAllowances", sums.allowances)
        writer.money(summary, "TotalAmountWithoutTax", sums.without_tax)
    writer.money(summary, "NetAmount", sums.net)
    if invoice.totals.paid:
        writer.money(summary, "DepositAmount", invoice.totals.paid)
    writer.money(summary, "DueAmount", invoice.totals.payable)


def _unprintable(mapped: MappedInvoice) -> Iterator[str]:
    """Each text of the invoice or its mapping that holds a character XML cannot carry, by its place."""
    lines = {f"line {place}": extra for place, extra in enumerate(mapped.lines, 1)}
    tree = {"invoice": mapped.invoice.model_dump(), "mapping": {**mapped.fields, **lines}}
    for place, text in _texts(tree, ""):
        if found := forbidden(text):
            yield f"{place} holds the character {found}, which no XML document can carry; take it out at the source"


def _texts(value: object, place: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield place, value
    elif isinstance(value, Mapping):
        for name, part in value.items():
            yield from _texts(part, f"{place}.{name}".lstrip("."))
    elif isinstance(value, tuple | list):
        for number, part in enumerate(value, 1):
            yield from _texts(part, f"{place}[{number}]")
