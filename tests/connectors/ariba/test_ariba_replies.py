"""What the network's answers mean: the status table row by row, the words, the reasons."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from connectors.ariba.replies import (
    STAGES,
    VERDICTS,
    WORDS,
    Verdict,
    reason_of,
    reasons_of,
    receipt,
    verdict_of,
    word_of,
)
from connectors.cxml.response import Answer
from connectors.http import Reply
from hub.contract.connector import FoundState
from hub.contract.errors import AuthFailed, Duplicate, PortalError, Rejected, Scope, Transient
from hub.contract.status import Concerns, Delivered, Intake, ReasonCode, Stage

REPLIES = Path(__file__).resolve().parents[3] / "fixtures" / "replies" / "ariba"
NO, UNKNOWN = Delivered.NO, Delivered.UNKNOWN


def cxml(code: object, words: str = "", text: str = "") -> bytes:
    return f'<cXML><Response><Status code="{code}" text="{text}">{words}</Status></Response></cXML>'.encode()


def raised(body: bytes, http: int = 200, headers: dict[str, str] | None = None) -> PortalError:
    with pytest.raises(PortalError) as caught:
        receipt(Reply(http, headers or {}, body), "p-1")
    return caught.value


# architecture.md, "cXML:", row by row: what each code raises, and whether the portal has the invoice.
ROWS = [
    (400, Rejected, NO),
    (401, AuthFailed, NO),
    (402, Rejected, NO),
    (403, AuthFailed, NO),
    (404, Rejected, NO),  # no cXML code: its class counts
    (406, Rejected, NO),
    (409, Duplicate, NO),
    (412, Rejected, NO),
    (417, Rejected, NO),
    (423, Rejected, NO),
    (450, Rejected, NO),
    (461, Rejected, NO),
    (475, Rejected, NO),
    (476, Rejected, NO),
    (477, Rejected, NO),
    (488, Rejected, NO),
    (499, Rejected, NO),
    (500, Transient, UNKNOWN),
    (503, Transient, UNKNOWN),
    (550, Transient, UNKNOWN),
    (551, Transient, UNKNOWN),
    (560, Transient, NO),
    (561, Transient, UNKNOWN),
    (100, Transient, UNKNOWN),  # of no class that means anything
    (302, Transient, UNKNOWN),
    (999, Transient, UNKNOWN),
]


@pytest.mark.parametrize("code", [200, 201, 204, 211, 280, 281, 299])
def test_every_2xx_is_taken_and_more_will_be_said(code: int) -> None:
    """Executed or forwarded: nothing says yet that the buyer accepts it."""
    taken = receipt(Reply(200, {}, cxml(code, "fine")), "p-1")
    assert (Intake.PENDING, "p-1", "fine", cxml(code, "fine")) == (
        taken.intake,
        taken.refs.payload_id,
        taken.words,
        taken.reply,
    )


@pytest.mark.parametrize(("code", "kind", "delivered"), ROWS)
def test_every_other_code_raises_its_kind(code: int, kind: type[PortalError], delivered: Delivered) -> None:
    """The kind says who acts, delivered what may follow; the whole answer travels along."""
    error = raised(cxml(code, "some words"))
    assert (kind, delivered, cxml(code, "some words")) == (type(error), error.delivered, error.reply)
    assert f"{code} some words" in str(error)


def test_every_row_of_the_table_is_tried() -> None:
    """A new code in the table needs a row here."""
    tried = {code for code, _, _ in ROWS} | {200, 201, 204, 211, 280, 281}
    assert set(VERDICTS) <= tried


@pytest.mark.parametrize("http", [200, 201, 400, 404, 409, 429, 500, 502, 503])
@pytest.mark.parametrize(("code", "kind"), [(400, Rejected), (409, Duplicate), (560, Transient)])
def test_the_cxml_status_counts_whatever_http_says(http: int, code: int, kind: type[PortalError]) -> None:
    """Two levels of error: the document's own verdict is the verdict."""
    assert kind is type(raised(cxml(code), http))
    assert Intake.PENDING is receipt(Reply(http, {}, cxml(200)), "p-1").intake


@pytest.mark.parametrize(
    ("http", "delivered"),
    [*((http, UNKNOWN) for http in (200, 204, 302, 400, 403, 404, 500, 502, 503, 504)), (401, NO), (429, NO)],
)
@pytest.mark.parametrize("body", [b"<html>Oops</html>", b"", b"<cXML><Response></Response></cXML>"])
def test_a_reply_that_is_no_cxml_proves_nothing(http: int, delivered: Delivered, body: bytes) -> None:
    """Only 401 and 429 were answered before the document was looked at."""
    error = raised(body, http, {"Retry-After": "40"})
    assert (Transient, delivered, body) == (type(error), error.delivered, error.reply)
    assert isinstance(error, Transient)
    assert dt.timedelta(seconds=40) == error.retry_after


def test_a_wrong_login_stops_the_connection_and_a_missing_relationship_the_account() -> None:
    """401 is everybody's business, 403 this customer's."""
    login = raised((REPLIES / "unauthorized.xml").read_bytes())
    relationship = raised((REPLIES / "no-relationship.xml").read_bytes())
    assert isinstance(login, AuthFailed)
    assert isinstance(relationship, AuthFailed)
    assert (Scope.CONNECTION, Scope.ACCOUNT) == (login.scope, relationship.scope)


@pytest.mark.parametrize(
    "words",
    [
        "INVOICE_DUPLICATE",
        "Error: invoice KB-26-0101 was already received",
        "An invoice with the same invoice ID was already received.",
        "An invoice with the same ID KB.1 was already received",
        "Duplicate invoice number KB-26-0101",
        "This invoice has already been submitted",
        "Invoice number previously used",
        "The invoice already exists",
    ],
)
@pytest.mark.parametrize("code", [400, 406, 417, 450, 499, 500, 551])
def test_a_duplicate_is_known_by_its_words_too(code: int, words: str) -> None:
    """How INVOICE_DUPLICATE arrives is not known; whatever the code, the invoice may be there."""
    error = raised(cxml(code, words))
    assert isinstance(error, Duplicate)
    assert ReasonCode.SUPPLIER_DUPLICATE is error.reasons[0].code


@pytest.mark.parametrize(
    "words",
    [
        "INV-13: The order reference is obsolete, duplicate or replaced.",
        "The purchase order was already received in full",
        "Duplicate attachment name",
        "",
    ],
)
def test_what_only_sounds_like_a_duplicate_is_a_refusal(words: str) -> None:
    """A word in passing does not make a refusal a doubt."""
    assert Verdict.REJECTED is verdict_of(Answer(400, words, {}))


def test_a_broken_rule_that_looks_like_a_failure_keeps_its_reference() -> None:
    """KB0646639: 500 says both; the network's support asks for the ANERR number, so it leads the message."""
    error = raised((REPLIES / "rule-broken-500.xml").read_bytes())
    assert UNKNOWN is error.delivered
    assert "500 [ANERR-20000000000000000012]" in str(error)


# portals/ariba.md, section 6.
REASONS = [
    ("INVOICE_DUPLICATE", ReasonCode.SUPPLIER_DUPLICATE, "INVOICE_DUPLICATE"),
    ("INVOICE_NO_ID", ReasonCode.PORTAL_FORMAT, "INVOICE_NO_ID"),
    ("SHIPPING_IN_LINE_ERROR", ReasonCode.PORTAL_FORMAT, "SHIPPING_IN_LINE_ERROR"),
    ("SUMMARY_AND_DETAIL", ReasonCode.PORTAL_FORMAT, "SUMMARY_AND_DETAIL"),
    ("INV_ROLE_IN_SHIPPING", ReasonCode.PORTAL_FORMAT, "INV_ROLE_IN_SHIPPING"),
    ("INV-13: order reference obsolete, duplicate or replaced", ReasonCode.SUPPLIER_PO_MISSING, "INV-13"),
    ("INV-15: orders sent outside the network", ReasonCode.SUPPLIER_PO_MISSING, "INV-15"),
    ("INV-98: your Tax ID value is missing", ReasonCode.SUPPLIER_TAX, "INV-98"),
    ("INV-143: Cannot create a non-PO invoice with pricing details.", ReasonCode.SUPPLIER_PO_MISSING, "INV-143"),
    ("The subtotal under this line exceeds limit", ReasonCode.SUPPLIER_LINE_MISMATCH, "400"),
    ("ANInvoiceRule.accumulatedPoItemInvoicedAmount", ReasonCode.SUPPLIER_LINE_MISMATCH, "400"),
    ("The sold-to email address is invalid", ReasonCode.SUPPLIER_CODING, "400"),
    ("insufficient PO funds", ReasonCode.BUYER_APPROVAL, "400"),
    ("Price mismatch on line 10 of the order", ReasonCode.SUPPLIER_LINE_MISMATCH, "400"),
    ("missing or invalid PO", ReasonCode.SUPPLIER_PO_MISSING, "400"),
    ("Attachment extension .zip is not allowed", ReasonCode.SUPPLIER_ATTACHMENT, "400"),
    ("Your customer has not enabled invoicing; no trading relationship", ReasonCode.SUPPLIER_IDENTITY, "400"),
    ("The invoice date is too old", ReasonCode.SUPPLIER_DATE, "400"),
    ("A goods receipt is required first", ReasonCode.BUYER_RECEIPT_MISSING, "400"),
    ("Invoice INV-98-2026 cannot be processed", ReasonCode.OTHER, "400"),
    ("Computer says no", ReasonCode.OTHER, "400"),
]


@pytest.mark.parametrize(("words", "code", "portal_code"), REASONS)
def test_a_reason_has_our_code_the_portals_and_its_words(words: str, code: ReasonCode, portal_code: str) -> None:
    """The first pattern of the table decides; an invoice's own number is no code of the portal's."""
    reason = reason_of(words, 400)
    assert (words, code, portal_code) == (reason.text, reason.code, reason.portal_code)


@pytest.mark.parametrize(("code", "ours"), [(406, ReasonCode.PORTAL_FORMAT), (499, ReasonCode.PORTAL_LIMIT)])
def test_a_code_gives_the_reason_where_the_words_do_not(code: int, ours: ReasonCode) -> None:
    """406 is our form, 499 the document's size."""
    assert (ours, f"status {code}") == (reason_of("", code).code, reason_of("", code).text)


# portals/ariba.md, section 9.
TABLE = [
    ("Sent", Concerns.INTAKE, Intake.PENDING, FoundState.SUBMITTED, False),
    ("Queued", Concerns.INTAKE, Intake.PENDING, FoundState.SUBMITTED, False),
    ("Acknowledged", Concerns.INTAKE, Intake.ACCEPTED, FoundState.SUBMITTED, False),
    ("Failed", Concerns.INTAKE, Intake.REFUSED, FoundState.REFUSED, True),
    ("Approved", Concerns.STAGE, Stage.APPROVED, FoundState.SUBMITTED, False),
    ("Paid", Concerns.STAGE, Stage.PAID, FoundState.SUBMITTED, False),
    ("Rejected", Concerns.STAGE, Stage.REJECTED, FoundState.SUBMITTED, True),
    ("Canceled", Concerns.STAGE, Stage.CANCELLED, FoundState.VOID, False),
    ("Obsoleted", Concerns.STAGE, Stage.UNKNOWN, FoundState.VOID, False),
    ("Reconciling", Concerns.STAGE, Stage.UNKNOWN, FoundState.SUBMITTED, False),
    ("", Concerns.STAGE, Stage.UNKNOWN, FoundState.SUBMITTED, False),
]


@pytest.mark.parametrize(("raw", "concerns", "ours", "state", "explained"), TABLE)
def test_the_networks_words_row_by_row(
    raw: str,
    concerns: Concerns,
    ours: str,
    state: FoundState,
    explained: bool,  # noqa: FBT001 - a column of the table
) -> None:
    """A word that is not in the table is unknown, never the nearest guess; a refusal says where its reason stands."""
    for spelling in (raw, f" {raw.upper()} "):
        word = word_of(spelling)
        assert (concerns, ours, state) == (word.concerns, word.ours, word.found)
    assert explained == any("see the portal" in reason.text for reason in reasons_of(raw))


def test_every_word_of_the_table_is_tried_and_declared() -> None:
    """What can come is what the capabilities announce."""
    assert set(WORDS) <= {raw.casefold() for raw, *_ in TABLE}
    assert {Stage.APPROVED, Stage.PAID, Stage.REJECTED, Stage.CANCELLED} == STAGES
