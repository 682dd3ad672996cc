from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from hub.config import load_config
from hub.contract.connector import Settings
from hub.contract.invoice import Identifier, Invoice, Line, Party, Totals
from hub.identifiers import Identity, identity
from hub.requirements.customers import Directory, Route, route, whose
from hub.requirements.finding import Finding, Severity

HUB = """\
entities:
  ridgeline-us: {name: Ridgeline Supply Inc., identifiers: {tax: 84-5550101, gln: 4012345000009}}
  ridgeline-de: {name: Ridgeline GmbH, identifiers: {vat: DE811555012}}
customers:
  cascadia: {name: Cascadia Energy, identifiers: {duns: 080555501, ariba: AN01000000101-T}}
  meridian: {name: Meridian Werke, identifiers: {vat: DE811555204, ariba: AN01000000102-T, email: ap.in@m.example}}
  oakhurst: {name: Oakhurst Mills, identifiers: {legal: 36-5550177, id: K-4711}}
connections:
  paper: {connector: manual}
accounts:
  us-cascadia: {entity: ridgeline-us, customer: cascadia, connection: paper}
  us-oakhurst: {entity: ridgeline-us, customer: oakhurst, connection: paper}
  de-meridian: {entity: ridgeline-de, customer: meridian, connection: paper}
  de-meridian-2: {entity: ridgeline-de, customer: meridian, connection: paper}
"""
SELLER = Party(name="Ridgeline", tax_id="84-5550101")
BUYER = Party(name="Cascadia", identifiers=(Identifier(value="080555501", scheme="0060"),))


class Nothing(Settings):
    """A connector without settings."""


@pytest.fixture
def directory(tmp_path: Path) -> Directory:
    (tmp_path / "hub.yaml").write_text(HUB, encoding="utf-8")
    return Directory(load_config(tmp_path, lambda _: Nothing))


def invoice(seller: Party = SELLER, buyer: Party = BUYER) -> Invoice:
    amount = Decimal("10.00")
    return Invoice(
        number="INV-1",
        issue_date="2026-11-02",  # type: ignore[arg-type] - pydantic reads it
        type_code="380",
        currency="USD",
        seller=seller,
        buyer=buyer,
        totals=Totals(lines=amount, without_tax=amount, with_tax=amount, payable=amount),
        lines=(Line(id="1", quantity=Decimal(1), net=amount),),
    )


def ids(*pairs: tuple[str | None, str]) -> dict[str, Any]:
    return {"identifiers": tuple(Identifier(scheme=scheme, value=value) for scheme, value in pairs)}


@pytest.mark.parametrize(
    ("scheme", "value", "expected"),
    [
        ("0060", "08-055-5501", Identity("duns", "080555501")),
        ("D-U-N-S", " 080 555 501 ", Identity("duns", "080555501")),
        ("0088", "4012345000009", Identity("gln", "4012345000009")),
        ("9930", "de 811.555\u2011012", Identity("vat", "de811555012")),
        ("NetworkId", "AN01000000101-t", Identity("ariba", "an01000000101t")),
        ("EM", "A.B-C@Example.org", Identity("email", "a.b-c@example.org")),
        (None, "K-4711", Identity("id", "k4711")),
        ("", "\uff0e", Identity("id", "")),
        ("House Number", "X/1", Identity("housenumber", "x/1")),
    ],
)
def test_identifiers_are_compared_in_one_spelling(scheme: str | None, value: str, expected: Identity) -> None:
    """Blanks, dots, dashes and case are no difference, and neither is the code or the name of a scheme."""
    assert expected == identity(scheme, value)


@pytest.mark.parametrize(
    ("seller", "buyer", "expected"),
    [
        (SELLER, BUYER, ("ridgeline-us", "cascadia")),
        ({"tax_id": "845550101"}, ids(("NetworkID", "AN01000000101-T")), ("ridgeline-us", "cascadia")),
        ({"vat_id": "de 811 555 012"}, {"vat_id": "DE811555204"}, ("ridgeline-de", "meridian")),
        (ids(("0088", "4012345000009")), {"legal_id": Identifier(value="365550177")}, ("ridgeline-us", "oakhurst")),
        (SELLER, {"legal_id": Identifier(value="080555501", scheme="0060")}, ("ridgeline-us", "cascadia")),
        (SELLER, {"endpoint": Identifier(value="080555501", scheme="0060")}, ("ridgeline-us", "cascadia")),
        (SELLER, {"endpoint": Identifier(value="DE811555204", scheme="9930")}, ("ridgeline-us", "meridian")),
        (SELLER, {"endpoint": Identifier(value="AP.in@m.example", scheme="EM")}, ("ridgeline-us", "meridian")),
        (SELLER, ids((None, "K4711")), ("ridgeline-us", "oakhurst")),
        # agreement of all, with further identifiers that we have no word of
        (
            SELLER,
            {"vat_id": "DE811555204", **ids(("NetworkID", "AN01000000102-T"), ("0088", "999"))},
            ("ridgeline-us", "meridian"),
        ),
        # one of two of the same scheme is enough
        (SELLER, ids(("0060", "999999999"), ("0060", "080555501")), ("ridgeline-us", "cascadia")),
        # what is not certain
        ({"tax_id": "1"}, BUYER, (None, "cascadia")),
        ({"vat_id": "84-5550101"}, BUYER, (None, "cascadia")),
        (SELLER, {"name": "Cascadia Energy"}, ("ridgeline-us", None)),
        (SELLER, {"vat_id": "."}, ("ridgeline-us", None)),
        (SELLER, {"vat_id": "DE811555204", **ids(("0060", "080555501"))}, ("ridgeline-us", None)),
        (SELLER, {"vat_id": "DE811555204", **ids(("NetworkID", "AN999"))}, ("ridgeline-us", None)),
        ({}, {}, (None, None)),
    ],
)
def test_whose_invoice_it_is(
    directory: Directory, seller: Any, buyer: Any, expected: tuple[str | None, str | None]
) -> None:
    """Identifiers decide, all of them and never a name; what is not certain is None."""
    parties = [party if isinstance(party, Party) else Party(**party) for party in (seller, buyer)]
    assert expected == whose(directory, invoice(*parties))


def test_a_route_is_entity_customer_and_their_one_account(directory: Directory) -> None:
    """The way of an invoice, by keys."""
    assert Route("ridgeline-us", "cascadia", "us-cascadia") == route(directory, invoice())


def finding(directory: Directory, seller: Party = SELLER, buyer: Party = BUYER) -> Finding:
    found = route(directory, invoice(seller, buyer))
    assert isinstance(found, tuple)
    [only] = found
    assert (only.rule, only.severity) == ("route", Severity.BLOCK)
    assert only.fix
    return only


def test_an_unknown_buyer_is_told_by_what_the_invoice_says(directory: Directory) -> None:
    """The clerk reads the identifiers of the invoice and where one of them may be added."""
    found = finding(directory, buyer=Party(name="Newco", vat_id="FR1", **ids(("0060", "123456789"))))
    assert found.message == (
        "The invoice's buyer 'Newco' is not a customer we know: nobody has its VAT id 'FR1' and DUNS '123456789'."
    )
    assert found.fix == (
        "Add one of these under customers in hub.yaml (KEY: identifiers:), or in its id: column of the customer list, "
        "or correct it on the invoice."
    )
    assert (found.field, found.value) == ("buyer.vat_id", "FR1")


def test_a_buyer_without_identifiers_is_not_looked_up_by_name(directory: Directory) -> None:
    """A name that we know helps nothing."""
    found = finding(directory, buyer=Party(name="Cascadia Energy"))
    assert (
        found.message == "The invoice gives no identifier of its buyer 'Cascadia Energy'; the hub never goes by a name."
    )
    assert (found.field, found.value) == ("buyer", "Cascadia Energy")


def test_identifiers_of_two_customers_are_a_contradiction(directory: Directory) -> None:
    """Both customers are named with what speaks for them."""
    found = finding(directory, buyer=Party(vat_id="DE811555204", **ids(("0060", "080555501"))))
    assert found.message == (
        "The invoice's buyer is 2 at once: its VAT id 'DE811555204' is Meridian Werke (meridian)'s; "
        "its DUNS '080555501' is Cascadia Energy (cascadia)'s."
    )


def test_an_identifier_that_is_not_ours_of_that_customer_is_a_contradiction(directory: Directory) -> None:
    """One identifier matches, another of a scheme that we know of this customer does not."""
    found = finding(directory, buyer=Party(vat_id="DE811555204", **ids(("NetworkID", "AN999"))))
    assert found.message == (
        "The invoice's buyer is Meridian Werke (meridian) by its VAT id 'DE811555204', "
        "but its ARIBA 'AN999' is not the one we have: AN01000000102-T."
    )
    assert (found.field, found.value) == ("buyer.identifiers[0]", "AN999")


def test_an_unknown_seller_and_buyer_come_together(directory: Directory) -> None:
    """Both findings at once."""
    found = route(directory, invoice(Party(vat_id="X"), Party(vat_id="Y")))
    assert isinstance(found, tuple)
    assert [one.field for one in found] == ["seller.vat_id", "buyer.vat_id"]


def test_no_account_between_two_that_are_known(directory: Directory) -> None:
    """The finding says which account to add, and where."""
    found = finding(directory, seller=Party(vat_id="DE811555012"))
    assert found.message == "No account leads from Ridgeline GmbH (ridgeline-de) to Cascadia Energy (cascadia)."
    assert "(entity: ridgeline-de, customer: cascadia, connection: …)" in found.fix


def test_two_accounts_are_not_chosen_between(directory: Directory, tmp_path: Path) -> None:
    """The finding names both and the line of the second."""
    found = finding(directory, Party(vat_id="DE811555012"), Party(vat_id="DE811555204"))
    assert found.message == (
        "2 accounts lead from Ridgeline GmbH (ridgeline-de) to Meridian Werke (meridian): "
        "de-meridian and de-meridian-2. The hub does not choose between them."
    )
    assert found.place == f"{tmp_path}/hub.yaml:14"


def test_a_hostile_name_stays_one_line(directory: Directory) -> None:
    """What an invoice says is quoted, escaped and cut."""
    found = finding(directory, buyer=Party(name="x\n" * 400, vat_id="Z" * 900))
    assert "\n" not in found.message
    assert len(found.message) < 400
