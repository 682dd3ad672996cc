from __future__ import annotations

import json
import time
from base64 import b64encode

import pytest
from ariba_samples import BUYER, LOOSE, ask, config, credentials, found, invoice, search, send, token, window

from hub.simulators.client import Simulator

FORM = "application/x-www-form-urlencoded"


def test_an_invoice_is_found_by_its_number_with_the_known_fields_only(sim: Simulator) -> None:
    """The answer has number, status and three amounts, and neither a reason nor an id."""
    send(sim, invoice("INV-1"))
    send(sim, invoice("INV-2"))
    answer = search(sim, window(), "documentNumber eq 'INV-2'")
    amount = {"amount": 125.00}
    item = {"documentNumber": "INV-2", "status": "Sent", "invoiceAmount": amount, "subTotalAmount": amount}
    assert {"content": [{**item, "taxAmount": {"amount": 0.0}}], "lastPage": True} == json.loads(answer.body)
    assert b'"amount": 125.00' in answer.body
    assert ["find"] == [entry["verb"] for entry in sim.requests() if entry["path"].startswith("/api/")]


def test_absence_is_an_empty_page(sim: Simulator) -> None:
    """What was never sent is not found, and that is no error."""
    assert {"content": [], "lastPage": True} == json.loads(search(sim, window(), "documentNumber eq 'X'").body)


def test_filters_narrow(sim: Simulator) -> None:
    """Buyer, status, and several filters at once; a quote may be left out."""
    send(sim, invoice("INV-1"))
    send(sim, invoice("INV-2", buyer=LOOSE))
    sim.set_status("INV-2", "Approved")
    assert [("INV-1", "Sent"), ("INV-2", "Approved")] == found(sim)
    assert [("INV-2", "Approved")] == found(sim, "documentStatus eq 'Approved'")
    assert [("INV-1", "Sent")] == found(sim, f"buyerANID eq {BUYER}")
    assert [] == found(sim, f"buyerANID eq '{BUYER}' and documentNumber eq 'INV-2'")


def test_status_changes_are_found_by_their_own_time(sim: Simulator) -> None:
    """The update filter looks at the last change, not at the day of arrival."""
    updated = window("documentStatusUpdatedStartDate", "documentStatusUpdatedEndDate", days=1)
    send(sim, invoice("INV-1"))
    send(sim, invoice("INV-2"))
    sim.clock(3 * 86400)
    sim.advance("INV-2")
    numbers = [item["documentNumber"] for item in json.loads(search(sim, updated).body)["content"]]
    assert ["INV-1"] == numbers


def test_pages_are_cut_at_top(sim: Simulator) -> None:
    """$top and $skip walk through everything once; lastPage says when it is over."""
    for i in range(5):
        send(sim, invoice(f"INV-{i}", quantity="1", total="12.50"))
    pages = [json.loads(search(sim, window(), top=2, skip=skip).body) for skip in (0, 2, 4)]
    assert [[0, 1], [2, 3], [4]] == [[int(i["documentNumber"][-1]) for i in page["content"]] for page in pages]
    assert [False, False, True] == [page["lastPage"] for page in pages]


def test_the_other_supplier_sees_nothing(sim: Simulator) -> None:
    """A search shows only what its own account sent."""
    send(sim, invoice())
    assert [] == found(sim, headers=credentials(sim, 1))


WEEK = "startDate eq '2026-09-01T00:00:00' and endDate eq '2026-09-08T00:00:00'"


@pytest.mark.parametrize(
    ("filters", "options", "words"),
    [
        (["startDate eq '2026-08-01T00:00:00' and endDate eq '2026-09-02T00:00:00'"], {}, "31 days"),
        (["startDate eq '2026-09-02T00:00:00' and endDate eq '2026-09-01T00:00:00'"], {}, "31 days"),
        (["startDate eq '2026-08-01T00:00:00'"], {}, "go together"),
        (["startDate eq 'today' and endDate eq 'now'"], {}, "not a time"),
        (["documentNumber eq 'INV-1'"], {}, "give startDate and endDate"),
        ([WEEK, "invoiceColour eq 'red'"], {}, "invoiceColour"),
        ([WEEK, "documentNumber = 'INV-1'"], {}, "is not: name eq"),
        ([WEEK, WEEK], {}, "given twice"),
        ([WEEK], {"top": 101}, "1 to 100"),
        ([WEEK], {"top": 0}, "1 to 100"),
        ([WEEK], {"skip": -1}, "whole number"),
        ([WEEK], {"orderby": 1}, "not known"),
    ],
)
def test_a_wrong_question_is_a_400(sim: Simulator, filters: list[str], options: dict[str, int], words: str) -> None:
    """The answer says what is not taken."""
    answer = search(sim, *filters, **options)
    assert (400, True) == (answer.http, words in answer.body.decode()), answer.body


def test_a_31_day_window_is_taken(sim: Simulator) -> None:
    """Exactly 31 days are not too many."""
    assert 200 == search(sim, "startDate eq '2026-08-01T00:00:00' and endDate eq '2026-09-01T00:00:00'").http


@pytest.mark.parametrize(
    ("header", "value", "status"),
    [
        ("Authorization", "Bearer nonsense", 401),
        ("Authorization", "", 401),
        ("apiKey", "k-1", 401),
        ("X-ARIBA-NETWORK-ID", BUYER, 403),
    ],
)
def test_every_credential_is_checked(sim: Simulator, header: str, value: str, status: int) -> None:
    """Token, key and network id must all be this account's."""
    assert status == search(sim, window(), headers={**credentials(sim), header: value}).http


def test_a_token_ends(sim: Simulator) -> None:
    """After expires_in seconds the token is refused, and a new one works."""
    headers = credentials(sim)
    assert 200 == search(sim, window(), headers=headers).http
    sim.clock(1441)
    assert 401 == search(sim, window(), headers=headers).http
    assert 200 == search(sim, window(), headers=credentials(sim)).http


@pytest.mark.parametrize(
    ("pair", "form", "status"),
    [
        ("id-0:cs-0", b"grant_type=client_credentials", 200),
        ("id-0:cs-1", b"grant_type=client_credentials", 401),
        ("id-0:cs-0", b"grant_type=password", 400),
    ],
)
def test_a_token_needs_the_clients_secret(sim: Simulator, pair: str, form: bytes, status: int) -> None:
    """The right client gets a token and its life; nobody else does."""
    headers = {"Authorization": f"Basic {b64encode(pair.encode()).decode()}", "Content-Type": FORM}
    answer = ask(sim.url, "POST", "/v2/oauth/token", form, headers)
    assert status == answer.http
    assert (1440 if status == 200 else None) == json.loads(answer.body).get("expires_in")


def test_search_lags_behind() -> None:
    """A document shows only when the settle time has passed; it is kept from the first moment."""
    with Simulator.start(config(), settle=60) as sim:
        send(sim, invoice())
        before = found(sim), len(sim.documents())
        sim.clock(61)
        assert ([], 1) == before
        assert [("INV-1", "Sent")] == found(sim)


def test_calls_are_limited() -> None:
    """Beyond the limit comes 429 with the seconds to wait; in the next window calls are free again."""
    with Simulator.start(config(rate_limit={"minute": 2, "day": 100})) as sim:
        headers = credentials(sim)
        start = 60 - time.time() % 60  # the start of a window, so that none ends within the test
        sim.clock(start)
        answers = [search(sim, window(), headers=headers) for _ in range(3)]
        wait = int(answers[2].headers["Retry-After"])
        assert [200, 200, 429] == [answer.http for answer in answers]
        assert ["1", "0", "0"] == [answer.headers["X-RateLimit-Remaining-minute"] for answer in answers]
        assert "97" == answers[2].headers["X-RateLimit-Remaining-day"]
        assert 0 < wait <= 61
        sim.clock(start + wait)
        assert 200 == search(sim, window(), headers=headers).http


def test_a_token_is_not_counted(sim: Simulator) -> None:
    """Two tokens of one client are both good."""
    tokens = {token(sim), token(sim)}
    assert [200, 200] == [
        search(sim, window(), headers={**credentials(sim), "Authorization": f"Bearer {t}"}).http for t in tokens
    ]
