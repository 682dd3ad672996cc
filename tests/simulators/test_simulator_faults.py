from __future__ import annotations

import http.client
import json
import socket
import time

import pytest
from ariba_samples import PATH, XML, Answer, ask, found, invoice, met, search, send, window
from workbench import until

from hub.simulators.client import Simulator
from hub.simulators.faults import ACTS, LASTING

# What the caller meets, and how many documents are kept. requests takes a reply torn in its headers for a 200.
MET = {
    "drop_before_commit": ("ConnectionError", 0),
    "drop_after_commit": ("ConnectionError", 1),
    "reset_after_commit": ("ConnectionError", 1),
    "hang_after_commit": ("ConnectionError", 1),
    "cut_body_after_commit": ("ChunkedEncodingError", 1),
    "torn_headers_after_commit": ("200, 0 bytes", 1),
    "500_after_commit": ("500 html", 1),
    "html_page": ("200 html", 0),
    "html_page_after_commit": ("200 html", 1),
    "empty_200": ("200, 0 bytes", 0),
    "empty_200_after_commit": ("200, 0 bytes", 1),
    "503": ("503 other", 0),
    "503_page": ("503 html", 0),
    "429": ("429 html", 0),
    "401": ("401 html", 0),
    "401_in_body": ("200 cXML", 0),
    "login_page": ("200 form", 0),
    "login_redirect": ("200 form", 0),  # requests follows it, by GET
    "slow": ("200 cXML", 1),
    "late_commit": ("500 html", 0),
}


def test_every_fault_is_tried() -> None:
    """No fault stands in the table that the test below does not know."""
    assert set(ACTS) == set(MET)


@pytest.mark.parametrize("fault", MET)
def test_a_fault_shows_as_named_and_keeps_what_it_says(either: Simulator, fault: str) -> None:
    """The caller meets the fault once; the document is kept or not, as the name says; then all is well."""
    either.fault(
        fault, verb="submit", **({"seconds": 0.2 if fault != "late_commit" else 60} if fault in LASTING else {})
    )
    assert MET[fault] == (met(either.url, invoice()), len(either.documents()))
    assert "200 cXML" == met(either.url, invoice("INV-2"))
    assert MET[fault][1] + 1 == len(either.documents())


def test_a_hang_keeps_the_document_and_says_nothing(sim: Simulator) -> None:
    """The caller's own time-out ends the wait."""
    sim.fault("hang_after_commit", verb="submit", seconds=2)
    assert ("ReadTimeout", 1) == (met(sim.url, invoice(), seconds=0.2), len(sim.documents()))


def test_a_late_commit_comes_late_and_not_after_a_reset(sim: Simulator) -> None:
    """What was answered with 500 is there a little later; a portal that was reset meanwhile has forgotten it."""
    sim.fault("late_commit", verb="submit", seconds=0.3)
    assert 500 == send(sim, invoice()).http
    assert [] == sim.documents()
    until(lambda: 1 == len(sim.documents()))
    sim.fault("late_commit", verb="submit", seconds=0.3)
    assert 500 == send(sim, invoice("INV-2")).http
    sim.reset()
    time.sleep(0.5)
    assert [] == sim.documents()


def test_too_many_requests_says_when_to_come_back(sim: Simulator) -> None:
    """Retry-After is in whole seconds."""
    sim.fault("429", seconds=7)
    assert "7" == send(sim, invoice()).headers["Retry-After"]


def test_an_unknown_login_is_told_in_the_form_of_the_address(sim: Simulator) -> None:
    """As cXML with a reference number where documents are posted, as JSON where a token or a list is asked for."""
    sim.fault("401_in_body", times=3)
    told = send(sim, invoice())
    assert (200, 401) == (told.http, told.code)
    assert "ANERR-" in told.text
    listed = search(sim, window(), headers={"Authorization": "Bearer x"})
    assert (401, {"error": "the access token is unknown or has expired"}) == (listed.http, json.loads(listed.body))
    granted = ask(sim.url, "POST", "/v2/oauth/token", b"grant_type=client_credentials")
    assert (401, "Basic") == (granted.http, granted.headers["WWW-Authenticate"])


def test_a_redirect_leads_to_a_login_form_and_is_no_request_of_the_portal(sim: Simulator) -> None:
    """Who follows it finds a form; the log has what was asked, once."""
    sim.fault("login_redirect", verb="submit")
    assert "302, 0 bytes" == met(sim.url, invoice(), allow_redirects=False)
    assert b"<form" in ask(sim.url, "GET", "/login").body
    assert ["submit"] == [entry["verb"] for entry in sim.requests()]


def test_a_fault_hits_its_verb_its_number_and_as_often_as_told(sim: Simulator) -> None:
    """Other verbs and other invoices pass; after the last time everything passes."""
    sim.fault("html_page", verb="submit", times=2, number="INV-1")
    assert 200 == send(sim, invoice("INV-2")).code
    assert [] == found(sim, "documentNumber eq 'INV-1'")
    assert [None, None, 200] == [send(sim, invoice("INV-1")).code for _ in range(3)]


def test_find_and_statuses_are_two_verbs(sim: Simulator) -> None:
    """A search with a number is a find, one without is statuses."""
    sim.fault("500_after_commit", verb="statuses", times=None)
    sim.fault("empty_200", verb="find")
    assert [500, 500] == [search(sim, window()).http for _ in range(2)]
    assert b"" == search(sim, window(), "documentNumber eq 'X'").body
    sim.clear_faults()
    assert 200 == search(sim, window()).http


def test_refused_is_refused(sim: Simulator) -> None:
    """The port itself is closed, kept-alive connections with it, until the fault is cleared."""
    kept = http.client.HTTPConnection(sim.url.removeprefix("http://"), timeout=5)
    kept.request("POST", PATH, invoice(), {"Content-Type": XML})
    assert b'code="200"' in kept.getresponse().read()
    sim.fault("refuse")
    with pytest.raises(ConnectionRefusedError):
        send(sim, invoice("INV-2"))
    assert b"" == kept.sock.recv(1)
    kept.close()
    sim.clear_faults()
    assert 200 == send(sim, invoice("INV-3")).code
    assert ["INV-1", "INV-3"] == [document["number"] for document in sim.documents()]


def test_refusing_ends_by_itself(sim: Simulator) -> None:
    """After its seconds the same port is open again."""
    sim.fault("refuse", seconds=0.3)
    with pytest.raises(ConnectionRefusedError):
        send(sim, invoice())
    assert 200 == _when_open(sim).code


def _when_open(sim: Simulator) -> Answer:
    ends = time.monotonic() + 5
    while True:
        try:
            return send(sim, invoice())
        except ConnectionRefusedError:
            assert time.monotonic() < ends
            time.sleep(0.05)


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"nonsense\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\n\r\n", b"411"),
        (b"POST / HTTP/1.1\r\nContent-Length: -5\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", b"400"),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffffffff\r\n", b"413"),
        (b"POST / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n", b"413"),
        (b"GET / HTTP/1.1\r\nA: " + b"a" * 70_000, b"431"),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", b"404"),
    ],
)
def test_what_is_no_http_is_answered_as_a_web_server_does(sim: Simulator, raw: bytes, status: bytes) -> None:
    """Broken and oversized requests get their 4xx; chunks are read."""
    host, port = sim.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=5) as sock:
        sock.sendall(raw)
        sock.shutdown(socket.SHUT_WR)
        assert b"HTTP/1.1 " + status == sock.recv(100)[:12]
