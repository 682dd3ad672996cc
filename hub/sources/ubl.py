"""UBL 2.1 Invoice and CreditNote: which path holds which EN 16931 term (EN 16931-3-2)."""

from __future__ import annotations

from decimal import Decimal

from hub.contract.invoice import KIND_BY_TYPE_CODE, Kind
from hub.sources.refused import Problem
from hub.sources.shared import (
    OBJECT,
    PROJECT,
    check_currencies,
    creditor_id,
    discount,
    merged_payment,
    note,
    settle_attachment,
    settle_preceding,
    settle_withholding,
    tax_kind,
    tax_numbers,
)
from hub.sources.tables import (
    SELF,
    Fields,
    Group,
    Reading,
    Row,
    amount,
    classification,
    compiled,
    day,
    flag,
    identifier,
    number,
    paths,
    walk,
)
from hub.sources.xml import Element

_UBL = "urn:oasis:names:specification:ubl:schema:xsd:"
NAMESPACES = {"cac": f"{_UBL}CommonAggregateComponents-2", "cbc": f"{_UBL}CommonBasicComponents-2"}

# The root says what kinds of document may stand in it; a credit note's amounts are positive, so an invoice in a
# CreditNote would ask for money that is owed the other way.
ROOTS = {
    f"{{{_UBL}Invoice-2}}Invoice": frozenset({Kind.INVOICE, Kind.CREDIT, Kind.DEBIT}),
    f"{{{_UBL}CreditNote-2}}CreditNote": frozenset({Kind.CREDIT}),
}


def _party(stated: Fields, _: Element, __: Fields, ___: Reading) -> None:
    """Sort the registrations, and call a party by its trading name where it has no other."""
    tax_numbers(stated, "VAT")
    if "trading_name" in stated and "name" not in stated:
        stated["name"] = stated.pop("trading_name")


def _document(stated: Fields, element: Element, out: Fields, reading: Reading) -> None:
    """An AdditionalDocumentReference is an attachment, or by its type code the invoiced object or the project."""
    code = stated.pop("code", None)
    scheme = stated.pop("scheme", None)
    if code in (OBJECT, PROJECT):
        if code == OBJECT:
            out["object_id"] = {"value": stated.get("reference"), "scheme": scheme}
        else:
            out["project_reference"] = stated.get("reference")
        stated.clear()
    elif stated:
        settle_attachment(stated, element, reading)


def _line_object(stated: Fields, element: Element, out: Fields, reading: Reading) -> None:
    """A line's document reference is the invoiced object (BT-128); another kind is left."""
    if stated.pop("code", OBJECT) == OBJECT and "value" in stated:
        out["object_id"] = dict(stated)
    else:
        reading.leave(element)
    stated.clear()


def _withheld(stated: Fields, _: Element, __: Fields, ___: Reading) -> None:
    for tax in stated.get("taxes", ()):
        tax["withholding"] = True


def _line(stated: Fields, _: Element, __: Fields, ___: Reading) -> None:
    """A line's taxes: those with amounts (TaxTotal) and those of its item that are not among them."""
    totals = stated.pop("tax_totals", ())
    if totals:
        taxes = [tax for total in totals for tax in total.get("taxes", ())]
        known = {(tax.get("category"), tax.get("rate"), tax.get("kind")) for tax in taxes}
        of_item = stated.get("taxes", ())
        stated["taxes"] = taxes + [t for t in of_item if (t.get("category"), t.get("rate"), t.get("kind")) not in known]


ADDRESS = (
    Row("lines[]", "cbc:StreetName"),  # BT-35
    Row("lines[]", "cbc:AdditionalStreetName"),  # BT-36
    Row("lines[]", "cac:AddressLine/cbc:Line"),  # BT-162
    Row("city", "cbc:CityName"),
    Row("postal_code", "cbc:PostalZone"),
    Row("region", "cbc:CountrySubentity"),
    Row("country", "cac:Country/cbc:IdentificationCode"),
)

REGISTRATION = (
    Row("id", "cbc:CompanyID"),
    Row("scheme", "cac:TaxScheme/cbc:ID"),
)

PARTY = (
    Row("endpoint", "cbc:EndpointID", identifier),
    Row("identifiers[]", "cac:PartyIdentification/cbc:ID", identifier),
    Row("trading_name", "cac:PartyName/cbc:Name"),
    Group("address", "cac:PostalAddress", ADDRESS),
    Group("registrations[]", "cac:PartyTaxScheme", REGISTRATION),
    Row("name", "cac:PartyLegalEntity/cbc:RegistrationName"),
    Row("legal_id", "cac:PartyLegalEntity/cbc:CompanyID", identifier),
    Row("legal_form", "cac:PartyLegalEntity/cbc:CompanyLegalForm"),
    Row("contact.name", "cac:Contact/cbc:Name"),
    Row("contact.phone", "cac:Contact/cbc:Telephone"),
    Row("contact.email", "cac:Contact/cbc:ElectronicMail"),
)

ALLOWANCE_CHARGE = (
    Row("charge", "cbc:ChargeIndicator", flag),
    Row("reason_code", "cbc:AllowanceChargeReasonCode"),
    Row("reason+", "cbc:AllowanceChargeReason"),
    Row("percent", "cbc:MultiplierFactorNumeric", number),
    Row("amount", "cbc:Amount", amount),
    Row("base", "cbc:BaseAmount", amount),
    Row("tax_category", "cac:TaxCategory/cbc:ID"),
    Row("tax_rate", "cac:TaxCategory/cbc:Percent", number),
    Row("", "cac:TaxCategory/cac:TaxScheme"),  # the tax itself stands in the breakdown
)

TAX_CATEGORY = (
    Row("category", "cbc:ID"),
    Row("rate", "cbc:Percent", number),
    Row("exemption_code", "cbc:TaxExemptionReasonCode"),
    Row("exemption_reason+", "cbc:TaxExemptionReason"),
    Row("kind", "cac:TaxScheme/cbc:ID", tax_kind),
    Row("location", "cac:TaxScheme/cac:JurisdictionRegionAddress/cbc:CountrySubentity"),
)

TAX_TOTAL = (
    Row("amount", "cbc:TaxAmount", number),
    Row("currency", "cbc:TaxAmount/@currencyID"),
    Group(
        "taxes[]",
        "cac:TaxSubtotal",
        (
            Row("taxable", "cbc:TaxableAmount", amount),
            Row("amount", "cbc:TaxAmount", amount),
            *(Row(row.field, f"cac:TaxCategory/{row.path}", row.take) for row in TAX_CATEGORY),
        ),
    ),
)

LINE = (
    Row("id", "cbc:ID"),
    Row("note+", "cbc:Note"),
    Row("quantity", "cbc:InvoicedQuantity", number),
    Row("unit", "cbc:InvoicedQuantity/@unitCode"),
    Row("quantity", "cbc:CreditedQuantity", number),
    Row("unit", "cbc:CreditedQuantity/@unitCode"),
    Row("net", "cbc:LineExtensionAmount", amount),
    Row("accounting_reference", "cbc:AccountingCost"),
    Row("period.start", "cac:InvoicePeriod/cbc:StartDate", day),
    Row("period.end", "cac:InvoicePeriod/cbc:EndDate", day),
    Row("order_line", "cac:OrderLineReference/cbc:LineID"),
    Row("order_number", "cac:OrderLineReference/cac:OrderReference/cbc:ID"),
    Group(
        "",
        "cac:DocumentReference",
        (
            Row("value", "cbc:ID"),
            Row("scheme", "cbc:ID/@schemeID"),
            Row("code", "cbc:DocumentTypeCode"),
        ),
        _line_object,
    ),
    Group("allowances_charges[]", "cac:AllowanceCharge", ALLOWANCE_CHARGE),
    Group("tax_totals[]", "cac:TaxTotal", TAX_TOTAL),
    Group("tax_totals[]", "cac:WithholdingTaxTotal", TAX_TOTAL, _withheld),
    Row("name", "cac:Item/cbc:Name"),
    Row("description+", "cac:Item/cbc:Description"),
    Row("buyer_item_id", "cac:Item/cac:BuyersItemIdentification/cbc:ID"),
    Row("seller_item_id", "cac:Item/cac:SellersItemIdentification/cbc:ID"),
    Row("standard_item_id", "cac:Item/cac:StandardItemIdentification/cbc:ID", identifier),
    Row("origin_country", "cac:Item/cac:OriginCountry/cbc:IdentificationCode"),
    Row("classifications[]", "cac:Item/cac:CommodityClassification/cbc:ItemClassificationCode", classification),
    Group("taxes[]", "cac:Item/cac:ClassifiedTaxCategory", TAX_CATEGORY),
    Group(
        "attributes[]",
        "cac:Item/cac:AdditionalItemProperty",
        (Row("name", "cbc:Name"), Row("value", "cbc:Value")),
    ),
    Row("price", "cac:Price/cbc:PriceAmount", amount),
    Row("price_base", "cac:Price/cbc:BaseQuantity", number),  # its unit (BT-150) is the quantity's
    Group(
        "",
        "cac:Price/cac:AllowanceCharge",
        (
            Row("charge", "cbc:ChargeIndicator", flag),
            Row("price_discount", "cbc:Amount", amount),
            Row("price_gross", "cbc:BaseAmount", amount),
        ),
        discount,
    ),
    Group("sub_lines[]", "cac:SubInvoiceLine", SELF, _line),
    Group("sub_lines[]", "cac:SubCreditNoteLine", SELF, _line),
)

PRECEDING = (Row("number", "cbc:ID"), Row("issue_date", "cbc:IssueDate", day))

DOCUMENT = (
    Row("", "cbc:UBLVersionID"),  # 2.1, or a later one that is compatible
    Row("specification", "cbc:CustomizationID"),
    Row("process", "cbc:ProfileID"),
    Row("number", "cbc:ID"),
    Row("issue_date", "cbc:IssueDate", day),
    Row("due_date", "cbc:DueDate", day),
    Row("type_code", "cbc:InvoiceTypeCode"),
    Row("type_code", "cbc:CreditNoteTypeCode"),
    Row("notes[]", "cbc:Note", note),
    Row("tax_point_date", "cbc:TaxPointDate", day),
    Row("currency", "cbc:DocumentCurrencyCode"),
    Row("tax_currency", "cbc:TaxCurrencyCode"),
    Row("accounting_reference", "cbc:AccountingCost"),
    Row("buyer_reference", "cbc:BuyerReference"),
    Row("period.start", "cac:InvoicePeriod/cbc:StartDate", day),
    Row("period.end", "cac:InvoicePeriod/cbc:EndDate", day),
    Row("tax_point_code", "cac:InvoicePeriod/cbc:DescriptionCode"),
    Row("purchase_order_reference", "cac:OrderReference/cbc:ID"),
    Row("sales_order_reference", "cac:OrderReference/cbc:SalesOrderID"),
    Row("order_date", "cac:OrderReference/cbc:IssueDate", day),
    Group("preceding[]", "cac:BillingReference/cac:InvoiceDocumentReference", PRECEDING, settle_preceding),
    Group("preceding[]", "cac:BillingReference/cac:CreditNoteDocumentReference", PRECEDING, settle_preceding),
    Row("despatch_advice_reference", "cac:DespatchDocumentReference/cbc:ID"),
    Row("receiving_advice_reference", "cac:ReceiptDocumentReference/cbc:ID"),
    Row("tender_reference", "cac:OriginatorDocumentReference/cbc:ID"),
    Row("contract_reference", "cac:ContractDocumentReference/cbc:ID"),
    Row("project_reference", "cac:ProjectReference/cbc:ID"),
    Group(
        "attachments[]",
        "cac:AdditionalDocumentReference",
        (
            Row("reference", "cbc:ID"),
            Row("scheme", "cbc:ID/@schemeID"),
            Row("code", "cbc:DocumentTypeCode"),
            Row("kind", "cbc:DocumentType"),
            Row("description+", "cbc:DocumentDescription"),
            Row("content", "cac:Attachment/cbc:EmbeddedDocumentBinaryObject"),
            Row("media_type", "cac:Attachment/cbc:EmbeddedDocumentBinaryObject/@mimeCode"),
            Row("file_name", "cac:Attachment/cbc:EmbeddedDocumentBinaryObject/@filename"),
            Row("url", "cac:Attachment/cac:ExternalReference/cbc:URI"),
        ),
        _document,
    ),
    Group("seller", "cac:AccountingSupplierParty/cac:Party", PARTY, _party),
    Group("buyer", "cac:AccountingCustomerParty/cac:Party", PARTY, _party),
    Group("payee", "cac:PayeeParty", PARTY, _party),
    Group("tax_representative", "cac:TaxRepresentativeParty", PARTY, _party),
    Group("parties.sold_to", "cac:BuyerCustomerParty/cac:Party", PARTY, _party),
    Group("parties.sold_by", "cac:SellerSupplierParty/cac:Party", PARTY, _party),
    Group("parties.ship_from", "cac:Delivery/cac:Despatch/cac:DespatchParty", PARTY, _party),
    Row("delivery.date", "cac:Delivery/cbc:ActualDeliveryDate", day),
    Row("delivery.location", "cac:Delivery/cac:DeliveryLocation/cbc:ID", identifier),
    Group("delivery.address", "cac:Delivery/cac:DeliveryLocation/cac:Address", ADDRESS),
    Row("delivery.name", "cac:Delivery/cac:DeliveryParty/cac:PartyName/cbc:Name"),
    Group(
        "",
        "cac:PaymentMeans",
        (
            Row("means_code", "cbc:PaymentMeansCode"),
            Row("means_text", "cbc:PaymentMeansCode/@name"),
            Row("due_date", "cbc:PaymentDueDate", day),  # where a CreditNote keeps it
            Row("remittance", "cbc:PaymentID"),
            Row("card_number", "cac:CardAccount/cbc:PrimaryAccountNumberID"),
            Row("", "cac:CardAccount/cbc:NetworkID"),  # UBL demands it, EN 16931 has no term for it
            Row("card_holder", "cac:CardAccount/cbc:HolderName"),
            Row("account", "cac:PayeeFinancialAccount/cbc:ID"),
            Row("name", "cac:PayeeFinancialAccount/cbc:Name"),
            Row("bank", "cac:PayeeFinancialAccount/cac:FinancialInstitutionBranch/cbc:ID"),
            Row("mandate", "cac:PaymentMandate/cbc:ID"),
            Row("debited_account", "cac:PaymentMandate/cac:PayerFinancialAccount/cbc:ID"),
        ),
        merged_payment,
    ),
    Row("payment_terms+", "cac:PaymentTerms/cbc:Note"),
    Group("allowances_charges[]", "cac:AllowanceCharge", ALLOWANCE_CHARGE),
    Group("tax_totals[]", "cac:TaxTotal", TAX_TOTAL),
    Group("withholding_totals[]", "cac:WithholdingTaxTotal", TAX_TOTAL, _withheld),
    Row("totals.lines", "cac:LegalMonetaryTotal/cbc:LineExtensionAmount", amount),
    Row("totals.without_tax", "cac:LegalMonetaryTotal/cbc:TaxExclusiveAmount", amount),
    Row("totals.with_tax", "cac:LegalMonetaryTotal/cbc:TaxInclusiveAmount", amount),
    Row("totals.allowances", "cac:LegalMonetaryTotal/cbc:AllowanceTotalAmount", amount),
    Row("totals.charges", "cac:LegalMonetaryTotal/cbc:ChargeTotalAmount", amount),
    Row("totals.paid", "cac:LegalMonetaryTotal/cbc:PrepaidAmount", amount),
    Row("totals.rounding", "cac:LegalMonetaryTotal/cbc:PayableRoundingAmount", amount),
    Row("totals.payable", "cac:LegalMonetaryTotal/cbc:PayableAmount", amount),
    Group("lines[]", "cac:InvoiceLine", LINE, _line),
    Group("lines[]", "cac:CreditNoteLine", LINE, _line),
)

STEPS = compiled(DOCUMENT, NAMESPACES)
PATHS = paths(DOCUMENT)


def fields(root: Element, reading: Reading) -> Fields:
    """The fields of an Invoice from a UBL document; what is wrong is noted in `reading`."""
    data: Fields = {}
    walk(reading, root, STEPS, data)
    _settle_taxes(data, reading)
    creditor_id(data, "seller")
    creditor_id(data, "payee")
    check_currencies(data, reading)
    kind = KIND_BY_TYPE_CODE.get(data.get("type_code", ""))
    if kind is not None and kind not in ROOTS[str(root.tag)]:
        reading.problem(
            root, f"type code {data['type_code']} (BT-3), {kind}, cannot stand in this document; correct it"
        )
    return data


def _settle_taxes(data: Fields, reading: Reading) -> None:
    """The tax totals by their currency: the invoice's own with the breakdown, and the accounting currency's."""
    totals: Fields = data.setdefault("totals", {})
    taxes: list[Fields] = []
    for tax_total in data.pop("tax_totals", ()):
        stated = tax_total.get("currency", data.get("currency"))
        if stated == data.get("currency"):
            totals["tax"] = totals.get("tax", Decimal(0)) + tax_total.get("amount", Decimal(0))
            taxes += tax_total.get("taxes", ())
        elif stated == data.get("tax_currency") and "taxes" not in tax_total:
            totals["tax_accounting"] = tax_total.get("amount")
        else:
            reading.problems.append(
                Problem(
                    f"cac:TaxTotal: the tax total is in {stated}; it can be in the invoice's currency (BT-5) or, "
                    "without a breakdown, in the accounting currency (BT-6)"
                )
            )
    for withheld in data.pop("withholding_totals", ()):
        taxes += withheld.get("taxes", ())
    data["taxes"] = taxes
    settle_withholding(totals, taxes)
