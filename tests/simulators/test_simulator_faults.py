from __future__ import annotations

import http.client
import socket
import time

import pytest
import requests
from ariba_samples import PATH, XML, Answer, found, invoice, search, send, window

from hub.simulators.client import Simulator

# What the caller meets, and how many documents are kept. requests takes a reply torn in its headers for a 200.
MET = {
    "drop_before_commit": ("ConnectionError", 0),
    "drop_after_commit": ("ConnectionError", 1),
    "reset_after_commit": ("ConnectionError", 1),
    "cut_body_after_commit": ("ChunkedEncodingError", 1),
    "torn_headers_after_commit": ("200, 0 bytes", 1),
    "500_after_commit": ("500 html", 1),
    "html_page": ("200 html", 0),
    "html_page_after_commit": ("200 html", 1),
    "empty_200": ("200, 0 bytes", 0),
}


def met(sim: Simulator, document: bytes, seconds: float = 5) -> str:
    """What requests makes of the answer."""
    try:
        reply = requests.post(sim.url + PATH, document, headers={"Content-Type": XML}, timeout=seconds)
    except requests.RequestException as error:
        return type(error).__name__
    if not reply.content:
        return f"{reply.status_code}, 0 bytes"
    return f"{reply.status_code} {'html' if b'<html>' in reply.content else 'cXML'}"


@pytest.mark.parametrize("fault", MET)
def test_a_fault_shows_as_named_and_keeps_what_it_says(sim: Simulator, fault: str) -> None:
    """The caller meets the fault once; the document is kept or not, as the name says; then all is well."""
    sim.fault(fault, verb="submit")
    assert MET[fault] == (met(sim, invoice()), len(sim.documents()))
    assert "200 cXML" == met(sim, invoice("INV-2"))
    assert MET[fault][1] + 1 == len(sim.documents())


def test_a_hang_keeps_the_document_and_says_nothing(sim: Simulator) -> None:
    """The caller's own time-out ends the wait."""
    sim.fault("hang_after_commit", verb="submit", seconds=2)
    assert ("ReadTimeout", 1) == (met(sim, invoice(), seconds=0.2), len(sim.documents()))


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
