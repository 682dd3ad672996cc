from __future__ import annotations

import json
from urllib.parse import urlencode

import pytest
from ariba_samples import BUYER, LOOSE, PATH, XML, credentials, found, invoice, search, send, window

from hub.simulators.client import Simulator, SimulatorFailed


def test_the_buyer_works_step_by_step(sim: Simulator) -> None:
    """Sent, Acknowledged, Approved, Paid; then nothing follows."""
    send(sim, invoice())
    assert ["Acknowledged", "Approved", "Paid"] == [sim.advance("INV-1") for _ in range(3)]
    assert [("INV-1", "Paid")] == found(sim)
    with pytest.raises(SimulatorFailed, match="INV-1 is Paid"):
        sim.advance("INV-1")


def test_a_status_can_be_set_to_anything(sim: Simulator) -> None:
    """Rejected and Failed keep their reason, which the search does not show; strange words are shown as they are."""
    send(sim, invoice())
    sim.reject("INV-1", "price too high")
    sim.fail("INV-1", "INV-13")
    sim.pay("INV-1")
    sim.set_status("INV-1", "Misplaced")
    changes = [(change["status"], change["reason"]) for change in sim.documents()[0]["changes"]]
    assert [
        ("Sent", ""),
        ("Rejected", "price too high"),
        ("Failed", "INV-13"),
        ("Paid", ""),
        ("Misplaced", ""),
    ] == changes
    assert [("INV-1", "Misplaced")] == found(sim)


def test_a_buyer_can_be_named(sim: Simulator) -> None:
    """Two buyers may have the same number; the request says which is meant."""
    send(sim, invoice(payload="1@x.example"))
    send(sim, invoice(payload="2@x.example", buyer=LOOSE))
    sim.advance("INV-1", buyer=BUYER)
    assert {BUYER: "Acknowledged", LOOSE: "Sent"} == {d["buyer"]: d["status"] for d in sim.documents()}


def test_reset_forgets(sim: Simulator) -> None:
    """No document, log entry, fault or clock is left; the number is free."""
    send(sim, invoice())
    sim.clock(1000)
    sim.fault("empty_200")
    sim.reset()
    assert ([], [], []) == (sim.documents(), sim.requests(), sim.control("GET", "faults"))
    assert 200 == send(sim, invoice()).code


def test_the_log_says_what_was_asked_and_answered(sim: Simulator) -> None:
    """One entry per request, with verb, number, outcome and the fault that hit it."""
    send(sim, invoice())
    sim.fault("drop_before_commit", verb="find")
    with pytest.raises(OSError, match="closed"):
        found(sim, "documentNumber eq 'INV-1'")
    entries = [(e["verb"], e["number"], e["fault"], e["outcome"]) for e in sim.requests()]
    assert [
        ("submit", "INV-1", None, "cXML 200"),
        ("token", None, None, "HTTP 200"),
        ("find", "INV-1", "drop_before_commit", "nothing done"),
    ] == entries


def test_the_search_can_lag_or_never_show(sim: Simulator) -> None:
    """One number's, or every one's, for find and statuses alike, until the faults are cleared."""
    send(sim, invoice())
    send(sim, invoice("INV-2"))
    sim.search(lag_seconds=3600, number="inv-1")
    assert [("INV-2", "Sent")] == found(sim)
    assert [] == found(sim, "documentNumber eq 'INV-1'")
    sim.clock(3601)
    assert [("INV-1", "Sent"), ("INV-2", "Sent")] == found(sim)
    sim.search(lag_seconds=None)
    assert [("INV-1", "Sent")] == found(sim), "what is said of a number goes before what is said of all"
    sim.clear_faults()
    assert [("INV-1", "Sent"), ("INV-2", "Sent")] == found(sim)


def test_the_feed_can_tell_a_status_again_and_an_older_one_late(sim: Simulator) -> None:
    """Behind the true rows, on later pages where there are pages; a search by number stays true."""
    send(sim, invoice())
    send(sim, invoice("INV-2"))
    sim.advance("INV-1")
    sim.feed("twice", "INV-2")
    sim.feed("stale", "INV-1")
    true, false = [("INV-1", "Acknowledged"), ("INV-2", "Sent")], [("INV-1", "Sent"), ("INV-2", "Sent")]
    assert true + false == found(sim)
    second = json.loads(search(sim, window(), top=2, skip=2).body)
    assert (["INV-1", "INV-2"], True) == ([row["documentNumber"] for row in second["content"]], second["lastPage"])
    assert true[:1] == found(sim, "documentNumber eq 'INV-1'")
    sim.clear_faults()
    assert true == found(sim)


def test_tokens_can_be_forgotten(sim: Simulator) -> None:
    """A token that was good is answered with 401; a new one is good."""
    held = credentials(sim)
    sim.forget_tokens()
    assert [401, 200] == [search(sim, window(), headers=headers).http for headers in (held, None)]


def test_the_meaning_of_a_request_is_told_without_doing_it(sim: Simulator) -> None:
    """Verb and number, as the log would have them."""
    head = f"POST {PATH} HTTP/1.1\r\nContent-Type: {XML}\r\n\r\n".encode()
    assert ("submit", "INV-1") == sim.meaning(head + invoice())
    query = urlencode({"$filter": "documentNumber eq 'INV-7'"})
    assert ("find", "INV-7") == sim.meaning(f"GET /api/invoices/v1/prod/invoices?{query} HTTP/1.1\r\n\r\n".encode())
    assert ("token", None) == sim.meaning(b"POST /v2/oauth/token HTTP/1.1\r\n\r\n")
    assert ([], []) == (sim.documents(), sim.requests())


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        ("advance", {"number": "INV-404"}, "no invoice INV-404"),
        ("set", {"number": "INV-1"}, "status is None"),
        ("clock", {"offset_seconds": "soon"}, "not a number"),
        ("faults", {"fault": "earthquake"}, "there are: "),
        ("faults", {"fault": "empty_200", "verbs": "find"}, "no keys of a fault"),
        ("faults", {"fault": "empty_200", "verb": "write"}, "verb 'write'"),
        ("faults", {"fault": "empty_200", "times": 0}, "count of 1 or more"),
        ("faults", {"fault": "empty_200", "seconds": 3}, "does not last"),
        ("faults", {"fault": "hang_after_commit", "seconds": 0}, "above 0"),
        ("faults", {"fault": "refuse", "verb": "submit"}, "concerns the port"),
        ("search", {}, "lag_seconds is 'not given'"),
        ("search", {"lag_seconds": -1}, "0 or more, or null"),
        ("feed", {"tells": "lies"}, "one of twice, stale"),
        ("meaning", {"request": "?"}, "no HTTP request"),
        ("meaning", {"request": "R0VU"}, "no HTTP request"),
        ("dance", {}, "no control route"),
    ],
)
def test_a_wrong_control_request_says_what_is_wrong(
    sim: Simulator, path: str, body: dict[str, object], words: str
) -> None:
    """Nothing is swallowed: unknown routes, keys, words and values are named."""
    with pytest.raises(SimulatorFailed, match=words):
        sim.control("POST", path, body)
