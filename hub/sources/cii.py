"""UN/CEFACT Cross Industry Invoice (D16B): which path holds which EN 16931 term (EN 16931-3-3; Factur-X 1.0)."""

from __future__ import annotations

from hub.sources.refused import Problem
from hub.sources.shared import (
    OBJECT,
    TENDER,
    check_currencies,
    discount,
    merged_payment,
    settle_attachment,
    settle_preceding,
    tax_kind,
    tax_numbers,
)
from hub.sources.tables import (
    Fields,
    Group,
    Reading,
    Row,
    amount,
    classification,
    compiled,
    day_102,
    flag,
    identifier,
    number,
    paths,
    walk,
)
from hub.sources.xml import Element

_UN = "urn:un:unece:uncefact:data:standard:"
NAMESPACES = {
    "rsm": f"{_UN}CrossIndustryInvoice:100",
    "ram": f"{_UN}ReusableAggregateBusinessInformationEntity:100",
    "udt": f"{_UN}UnqualifiedDataType:100",
    "qdt": f"{_UN}QualifiedDataType:100",
}
ROOT = f"{{{NAMESPACES['rsm']}}}CrossIndustryInvoice"
_WITHOUT_LINES = (
    "urn:factur-x.eu:1p0:minimum",
    "urn:factur-x.eu:1p0:basicwl",
)  # profiles without lines, Factur-X 1.0, 5.1

# BT-8: CII has UNTDID 2475 where the standard and UBL have UNTDID 2005 (EN 16931-3-3, note to BT-8).
_TAX_POINT_CODES = {"5": "3", "29": "35", "72": "432"}
_HEAD = "rsm:SupplyChainTradeTransaction/ram:ApplicableHeaderTrade"


def _party(stated: Fields, _: Element, __: Fields, ___: Reading) -> None:
    tax_numbers(stated, "VA")


def _document(stated: Fields, element: Element, out: Fields, reading: Reading) -> None:
    """A referenced document is the invoiced object or the tender, by its type code; else an attachment."""
    code, scheme = stated.pop("code", None), stated.pop("scheme", None)
    if code == OBJECT:
        out["object_id"] = {"value": stated.get("reference"), "scheme": scheme}
        stated.clear()
    elif code == TENDER:
        out["tender_reference"] = stated.get("reference")
        stated.clear()
    elif stated:
        settle_attachment(stated, element, reading)


def _line_object(stated: Fields, element: Element, out: Fields, reading: Reading) -> None:
    if stated.pop("code", OBJECT) == OBJECT and "value" in stated and "object_id" not in out:
        out["object_id"] = dict(stated)
    else:
        reading.leave(element)
    stated.clear()


def _logistics(stated: Fields, _: Element, __: Fields, ___: Reading) -> None:
    """A freight charge of the EXTENDED profile is a charge like any other."""
    stated["charge"] = True


def _tax(stated: Fields, element: Element, out: Fields, reading: Reading) -> None:
    """The tax point stands in each tax, but is one fact of the document (BT-7, BT-8)."""
    for field in ("tax_point_date", "tax_point_code"):
        if field in stated and out.setdefault(field, stated[field]) != stated.pop(field):
            reading.leave(element)


def _tax_point_code(raw: str, _: Element, __: Reading) -> str:
    return _TAX_POINT_CODES.get(raw, raw)


def _tax_total(raw: str, element: Element, reading: Reading) -> Fields:
    """The total tax comes twice: in the invoice's currency (BT-110) and in the accounting currency (BT-111)."""
    return {"amount": number(raw, element, reading), "currency": element.get("currencyID")}


def _line(stated: Fields, _: Element, __: Fields, ___: Reading) -> None:
    """The price base may stand at the gross price alone."""
    gross_base = stated.pop("gross_base", None)
    if gross_base is not None:
        stated.setdefault("price_base", gross_base)


ADDRESS = (
    Row("postal_code", "ram:PostcodeCode"),
    Row("lines[]", "ram:LineOne"),
    Row("lines[]", "ram:LineTwo"),
    Row("lines[]", "ram:LineThree"),
    Row("city", "ram:CityName"),
    Row("country", "ram:CountryID"),
    Row("region", "ram:CountrySubDivisionName"),
)

REGISTRATION = (Row("id", "ram:ID"), Row("scheme", "ram:ID/@schemeID"))

PARTY = (
    Row("identifiers[]", "ram:ID", identifier),
    Row("identifiers[]", "ram:GlobalID", identifier),
    Row("name", "ram:Name"),
    Row("legal_form", "ram:Description"),
    Row("legal_id", "ram:SpecifiedLegalOrganization/ram:ID", identifier),
    Row("trading_name", "ram:SpecifiedLegalOrganization/ram:TradingBusinessName"),
    Row("contact.name", "ram:DefinedTradeContact/ram:PersonName"),
    Row("contact.name", "ram:DefinedTradeContact/ram:DepartmentName"),
    Row("contact.phone", "ram:DefinedTradeContact/ram:TelephoneUniversalCommunication/ram:CompleteNumber"),
    Row("contact.email", "ram:DefinedTradeContact/ram:EmailURIUniversalCommunication/ram:URIID"),
    Group("address", "ram:PostalTradeAddress", ADDRESS),
    Row("endpoint", "ram:URIUniversalCommunication/ram:URIID", identifier),
    Group("registrations[]", "ram:SpecifiedTaxRegistration", REGISTRATION),
)

ALLOWANCE_CHARGE = (
    Row("charge", "ram:ChargeIndicator/udt:Indicator", flag),
    Row("percent", "ram:CalculationPercent", number),
    Row("base", "ram:BasisAmount", amount),
    Row("amount", "ram:ActualAmount", amount),
    Row("reason_code", "ram:ReasonCode"),
    Row("reason+", "ram:Reason"),
    Row("", "ram:CategoryTradeTax/ram:TypeCode"),  # the tax itself stands in the breakdown
    Row("tax_category", "ram:CategoryTradeTax/ram:CategoryCode"),
    Row("tax_rate", "ram:CategoryTradeTax/ram:RateApplicablePercent", number),
)

TAX = (
    Row("amount", "ram:CalculatedAmount", amount),
    Row("kind", "ram:TypeCode", tax_kind),
    Row("exemption_reason+", "ram:ExemptionReason"),
    Row("taxable", "ram:BasisAmount", amount),
    Row("category", "ram:CategoryCode"),
    Row("location", "ram:Jurisdiction"),
    Row("exemption_code", "ram:ExemptionReasonCode"),
    Row("rate", "ram:RateApplicablePercent", number),
)

TAX_POINT = (
    Row("tax_point_date", "ram:TaxPointDate/udt:DateString", day_102),
    Row("tax_point_code", "ram:DueDateTypeCode", _tax_point_code),
)

PRECEDING = (
    Row("number", "ram:IssuerAssignedID"),
    Row("issue_date", "ram:FormattedIssueDateTime/qdt:DateTimeString", day_102),
)

DOCUMENT_REFERENCE = (
    Row("reference", "ram:IssuerAssignedID"),
    Row("url", "ram:URIID"),
    Row("code", "ram:TypeCode"),
    Row("scheme", "ram:ReferenceTypeCode"),
    Row("description+", "ram:Name"),
    Row("content", "ram:AttachmentBinaryObject"),
    Row("media_type", "ram:AttachmentBinaryObject/@mimeCode"),
    Row("file_name", "ram:AttachmentBinaryObject/@filename"),
)

_AGREEMENT, _DELIVERY, _SETTLEMENT = (
    f"ram:SpecifiedLineTrade{part}/ram:" for part in ("Agreement", "Delivery", "Settlement")
)

LINE = (
    Row("id", "ram:AssociatedDocumentLineDocument/ram:LineID"),
    Row("parent_id", "ram:AssociatedDocumentLineDocument/ram:ParentLineID"),  # EXTENDED: a sub-line of that line
    Row("note+", "ram:AssociatedDocumentLineDocument/ram:IncludedNote/ram:Content"),
    Row("standard_item_id", "ram:SpecifiedTradeProduct/ram:GlobalID", identifier),
    Row("seller_item_id", "ram:SpecifiedTradeProduct/ram:SellerAssignedID"),
    Row("buyer_item_id", "ram:SpecifiedTradeProduct/ram:BuyerAssignedID"),
    Row("name", "ram:SpecifiedTradeProduct/ram:Name"),
    Row("description+", "ram:SpecifiedTradeProduct/ram:Description"),
    Group(
        "attributes[]",
        "ram:SpecifiedTradeProduct/ram:ApplicableProductCharacteristic",
        (Row("name", "ram:Description"), Row("value", "ram:Value")),
    ),
    Row(
        "classifications[]",
        "ram:SpecifiedTradeProduct/ram:DesignatedProductClassification/ram:ClassCode",
        classification,
    ),
    Row("origin_country", "ram:SpecifiedTradeProduct/ram:OriginTradeCountry/ram:ID"),
    Row("order_number", f"{_AGREEMENT}BuyerOrderReferencedDocument/ram:IssuerAssignedID"),
    Row("order_line", f"{_AGREEMENT}BuyerOrderReferencedDocument/ram:LineID"),
    Row("price_gross", f"{_AGREEMENT}GrossPriceProductTradePrice/ram:ChargeAmount", amount),
    Row("gross_base", f"{_AGREEMENT}GrossPriceProductTradePrice/ram:BasisQuantity", number),
    Group(
        "",
        f"{_AGREEMENT}GrossPriceProductTradePrice/ram:AppliedTradeAllowanceCharge",
        (Row("charge", "ram:ChargeIndicator/udt:Indicator", flag), Row("price_discount", "ram:ActualAmount", amount)),
        discount,
    ),
    Row("price", f"{_AGREEMENT}NetPriceProductTradePrice/ram:ChargeAmount", amount),
    Row("price_base", f"{_AGREEMENT}NetPriceProductTradePrice/ram:BasisQuantity", number),  # BT-150 is the quantity's
    Row("quantity", f"{_DELIVERY}BilledQuantity", number),
    Row("unit", f"{_DELIVERY}BilledQuantity/@unitCode"),
    Group("taxes[]", f"{_SETTLEMENT}ApplicableTradeTax", TAX),
    Row("period.start", f"{_SETTLEMENT}BillingSpecifiedPeriod/ram:StartDateTime/udt:DateTimeString", day_102),
    Row("period.end", f"{_SETTLEMENT}BillingSpecifiedPeriod/ram:EndDateTime/udt:DateTimeString", day_102),
    Group("allowances_charges[]", f"{_SETTLEMENT}SpecifiedTradeAllowanceCharge", ALLOWANCE_CHARGE),
    Row("net", f"{_SETTLEMENT}SpecifiedTradeSettlementLineMonetarySummation/ram:LineTotalAmount", amount),
    Group(
        "",
        f"{_SETTLEMENT}AdditionalReferencedDocument",
        (
            Row("value", "ram:IssuerAssignedID"),
            Row("code", "ram:TypeCode"),
            Row("scheme", "ram:ReferenceTypeCode"),
        ),
        _line_object,
    ),
    Row("accounting_reference", f"{_SETTLEMENT}ReceivableSpecifiedTradeAccountingAccount/ram:ID"),
)

_SUMS = f"{_HEAD}Settlement/ram:SpecifiedTradeSettlementHeaderMonetarySummation/ram:"

DOCUMENT = (
    Row("", "rsm:ExchangedDocumentContext/ram:TestIndicator"),
    Row("process", "rsm:ExchangedDocumentContext/ram:BusinessProcessSpecifiedDocumentContextParameter/ram:ID"),
    Row("specification", "rsm:ExchangedDocumentContext/ram:GuidelineSpecifiedDocumentContextParameter/ram:ID"),
    Row("number", "rsm:ExchangedDocument/ram:ID"),
    Row("type_code", "rsm:ExchangedDocument/ram:TypeCode"),
    Row("issue_date", "rsm:ExchangedDocument/ram:IssueDateTime/udt:DateTimeString", day_102),
    Group(
        "notes[]",
        "rsm:ExchangedDocument/ram:IncludedNote",
        (Row("text+", "ram:Content"), Row("subject", "ram:SubjectCode")),
    ),
    Group("lines[]", "rsm:SupplyChainTradeTransaction/ram:IncludedSupplyChainTradeLineItem", LINE, _line),
    Row("buyer_reference", f"{_HEAD}Agreement/ram:BuyerReference"),
    Group("seller", f"{_HEAD}Agreement/ram:SellerTradeParty", PARTY, _party),
    Group("buyer", f"{_HEAD}Agreement/ram:BuyerTradeParty", PARTY, _party),
    Group("tax_representative", f"{_HEAD}Agreement/ram:SellerTaxRepresentativeTradeParty", PARTY, _party),
    Row("sales_order_reference", f"{_HEAD}Agreement/ram:SellerOrderReferencedDocument/ram:IssuerAssignedID"),
    Row("purchase_order_reference", f"{_HEAD}Agreement/ram:BuyerOrderReferencedDocument/ram:IssuerAssignedID"),
    Row(
        "order_date",
        f"{_HEAD}Agreement/ram:BuyerOrderReferencedDocument/ram:FormattedIssueDateTime/qdt:DateTimeString",
        day_102,
    ),
    Row("contract_reference", f"{_HEAD}Agreement/ram:ContractReferencedDocument/ram:IssuerAssignedID"),
    Group("attachments[]", f"{_HEAD}Agreement/ram:AdditionalReferencedDocument", DOCUMENT_REFERENCE, _document),
    Row("project_reference", f"{_HEAD}Agreement/ram:SpecifiedProcuringProject/ram:ID"),
    Row("", f"{_HEAD}Agreement/ram:SpecifiedProcuringProject/ram:Name"),  # CII demands it; EN 16931 fixes its text
    Row("delivery.location", f"{_HEAD}Delivery/ram:ShipToTradeParty/ram:ID", identifier),
    Row("delivery.location", f"{_HEAD}Delivery/ram:ShipToTradeParty/ram:GlobalID", identifier),
    Row("delivery.name", f"{_HEAD}Delivery/ram:ShipToTradeParty/ram:Name"),
    Group("delivery.address", f"{_HEAD}Delivery/ram:ShipToTradeParty/ram:PostalTradeAddress", ADDRESS),
    Group("parties.ship_from", f"{_HEAD}Delivery/ram:ShipFromTradeParty", PARTY, _party),
    Row(
        "delivery.date",
        f"{_HEAD}Delivery/ram:ActualDeliverySupplyChainEvent/ram:OccurrenceDateTime/udt:DateTimeString",
        day_102,
    ),
    Row("despatch_advice_reference", f"{_HEAD}Delivery/ram:DespatchAdviceReferencedDocument/ram:IssuerAssignedID"),
    Row("receiving_advice_reference", f"{_HEAD}Delivery/ram:ReceivingAdviceReferencedDocument/ram:IssuerAssignedID"),
    Row("payment.creditor_id", f"{_HEAD}Settlement/ram:CreditorReferenceID"),
    Row("payment.remittance", f"{_HEAD}Settlement/ram:PaymentReference"),
    Row("tax_currency", f"{_HEAD}Settlement/ram:TaxCurrencyCode"),
    Row("currency", f"{_HEAD}Settlement/ram:InvoiceCurrencyCode"),
    Group("parties.invoicer", f"{_HEAD}Settlement/ram:InvoicerTradeParty", PARTY, _party),
    Group("parties.bill_to", f"{_HEAD}Settlement/ram:InvoiceeTradeParty", PARTY, _party),
    Group("payee", f"{_HEAD}Settlement/ram:PayeeTradeParty", PARTY, _party),
    Group(
        "",
        f"{_HEAD}Settlement/ram:SpecifiedTradeSettlementPaymentMeans",
        (
            Row("means_code", "ram:TypeCode"),
            Row("means_text", "ram:Information"),
            Row("card_number", "ram:ApplicableTradeSettlementFinancialCard/ram:ID"),
            Row("card_holder", "ram:ApplicableTradeSettlementFinancialCard/ram:CardholderName"),
            Row("debited_account", "ram:PayerPartyDebtorFinancialAccount/ram:IBANID"),
            Row("account", "ram:PayeePartyCreditorFinancialAccount/ram:IBANID"),
            Row("account", "ram:PayeePartyCreditorFinancialAccount/ram:ProprietaryID"),
            Row("name", "ram:PayeePartyCreditorFinancialAccount/ram:AccountName"),
            Row("bank", "ram:PayeeSpecifiedCreditorFinancialInstitution/ram:BICID"),
        ),
        merged_payment,
    ),
    Group("taxes[]", f"{_HEAD}Settlement/ram:ApplicableTradeTax", (*TAX, *TAX_POINT), _tax),
    Row("period.start", f"{_HEAD}Settlement/ram:BillingSpecifiedPeriod/ram:StartDateTime/udt:DateTimeString", day_102),
    Row("period.end", f"{_HEAD}Settlement/ram:BillingSpecifiedPeriod/ram:EndDateTime/udt:DateTimeString", day_102),
    Group("allowances_charges[]", f"{_HEAD}Settlement/ram:SpecifiedTradeAllowanceCharge", ALLOWANCE_CHARGE),
    Group(
        "allowances_charges[]",
        f"{_HEAD}Settlement/ram:SpecifiedLogisticsServiceCharge",
        (
            Row("reason+", "ram:Description"),
            Row("amount", "ram:AppliedAmount", amount),
            Row("", "ram:AppliedTradeTax/ram:TypeCode"),
            Row("tax_category", "ram:AppliedTradeTax/ram:CategoryCode"),
            Row("tax_rate", "ram:AppliedTradeTax/ram:RateApplicablePercent", number),
        ),
        _logistics,
    ),
    Row("payment_terms+", f"{_HEAD}Settlement/ram:SpecifiedTradePaymentTerms/ram:Description"),
    Row(
        "due_date", f"{_HEAD}Settlement/ram:SpecifiedTradePaymentTerms/ram:DueDateDateTime/udt:DateTimeString", day_102
    ),
    Row("payment.mandate", f"{_HEAD}Settlement/ram:SpecifiedTradePaymentTerms/ram:DirectDebitMandateID"),
    Row("totals.lines", f"{_SUMS}LineTotalAmount", amount),
    Row("totals.charges", f"{_SUMS}ChargeTotalAmount", amount),
    Row("totals.allowances", f"{_SUMS}AllowanceTotalAmount", amount),
    Row("totals.without_tax", f"{_SUMS}TaxBasisTotalAmount", amount),
    Row("tax_totals[]", f"{_SUMS}TaxTotalAmount", _tax_total),
    Row("totals.rounding", f"{_SUMS}RoundingAmount", amount),
    Row("totals.with_tax", f"{_SUMS}GrandTotalAmount", amount),
    Row("totals.paid", f"{_SUMS}TotalPrepaidAmount", amount),
    Row("totals.payable", f"{_SUMS}DuePayableAmount", amount),
    Group("preceding[]", f"{_HEAD}Settlement/ram:InvoiceReferencedDocument", PRECEDING, settle_preceding),
    Row("accounting_reference", f"{_HEAD}Settlement/ram:ReceivableSpecifiedTradeAccountingAccount/ram:ID"),
)

STEPS = compiled(DOCUMENT, NAMESPACES)
PATHS = paths(DOCUMENT)


def fields(root: Element, reading: Reading) -> Fields:
    """The fields of an Invoice from a CII document; what is wrong is noted in `reading`."""
    data: Fields = {}
    walk(reading, root, STEPS, data)
    _settle_tax_totals(data, reading)
    check_currencies(data, reading)
    if "lines" in data:
        data["lines"] = _nested(data["lines"], reading)
    elif data.get("specification", "").lower().startswith(_WITHOUT_LINES):
        reading.failed.add("SupplyChainTradeTransaction/IncludedSupplyChainTradeLineItem")
        reading.problems.append(
            Problem(
                f"the profile {data['specification']} carries no lines, so no portal can take it; "
                "export it as BASIC, EN 16931 or XRechnung"
            )
        )
    return data


def _settle_tax_totals(data: Fields, reading: Reading) -> None:
    totals: Fields = data.setdefault("totals", {})
    fields_by_currency = {data.get("tax_currency"): "tax_accounting", data.get("currency"): "tax", None: "tax"}
    for tax_total in data.pop("tax_totals", ()):
        field = fields_by_currency.get(tax_total["currency"])
        if field is None or field in totals:
            reading.problems.append(
                Problem(
                    f"ram:TaxTotalAmount: {tax_total['amount']} {tax_total['currency']} is in neither the invoice's "
                    "currency (BT-5) nor the accounting currency (BT-6), or stands twice; correct it"
                )
            )
        else:
            totals[field] = tax_total["amount"]


def _nested(lines: list[Fields], reading: Reading) -> list[Fields]:
    """Put each line that names a parent (EXTENDED profile) below it."""
    by_id = {line.get("id"): line for line in lines}
    top: list[Fields] = []
    for line in lines:
        parent = line.pop("parent_id", None)
        if parent is None:
            top.append(line)
        elif parent in by_id and by_id[parent] is not line:
            by_id[parent].setdefault("sub_lines", []).append(line)
        else:
            reading.problems.append(Problem(f"invoice line {line.get('id')} names the parent {parent}, which is none"))
    return top
