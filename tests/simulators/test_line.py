from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import threading
from collections.abc import Iterator

import pytest
import requests
from ariba_samples import AUTHORITY, PAIR, PATH, XML, invoice, met
from line import Line
from workbench import until

from hub.simulators.client import Simulator

# What requests may make of a fault on the line, and how many documents are kept.
MET = {
    "cut_request": ("ConnectionError", 0),
    "cut_reply": ("ChunkedEncodingError", 1),
    "reset_in_reply": ("ChunkedEncodingError, or ConnectionError where the reset overtakes the bytes", 1),
    "delay": ("200 cXML", 1),
    "drip": ("200 cXML", 1),
}


@contextlib.contextmanager
def line_to(sim: Simulator) -> Iterator[Line]:
    """A line that speaks as its portal does."""
    with Line.before(sim, PAIR if sim.url.startswith("https") else None) as line:
        yield line


@pytest.mark.parametrize("name", MET)
def test_a_fault_on_the_line_shows_as_named_and_keeps_what_it_says(either: Simulator, name: str) -> None:
    """The caller meets it once; then all is well."""
    with line_to(either) as line:
        line.arm(name, seconds=0.1)
        words, kept = MET[name]
        assert met(line.url, invoice()) in words
        assert kept == len(either.documents())
        assert "200 cXML" == met(line.url, invoice("INV-2"))
        assert kept + 1 == len(either.documents())


@pytest.mark.parametrize("name", ["tls_broken", "tls_broken_in_body"])
def test_tls_that_breaks_within_the_reply_is_an_error_of_tls_after_the_commit(tls_sim: Simulator, name: str) -> None:
    """The portal has the document; requests says SSLError, as it does for a certificate that it refuses."""
    with line_to(tls_sim) as line:
        line.arm(name)
        with pytest.raises(requests.exceptions.SSLError) as met_by_requests:
            requests.post(line.url + PATH, invoice(), headers={"Content-Type": XML}, timeout=5, verify=AUTHORITY)
        assert "MAC" in str(met_by_requests.value).upper()
        assert ["INV-1"] == [document["number"] for document in tls_sim.documents()]


def test_a_broken_record_is_what_ssl_itself_calls_one(tls_sim: Simulator) -> None:
    """Below requests: part of the reply is read, then ssl.SSLError, and no end of file."""
    with line_to(tls_sim) as line:
        line.arm("tls_broken")
        context = ssl.create_default_context(cafile=AUTHORITY)
        with (
            socket.create_connection(("127.0.0.1", line.port), timeout=5) as plain,
            context.wrap_socket(plain, server_hostname="127.0.0.1") as sock,
        ):
            sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert b"HTTP/1.1" == sock.recv(1000)[:8]
            with pytest.raises(ssl.SSLError) as broken:
                sock.recv(1000)
            assert not isinstance(broken.value, ssl.SSLEOFError)


def test_a_black_hole_answers_nothing_and_delivers_nothing(either: Simulator) -> None:
    """The caller's own time-out ends the wait; nobody has heard of the document."""
    with line_to(either) as line:
        line.arm("black_hole")
        assert "ReadTimeout" == met(line.url, invoice(), seconds=0.3)
        assert [] == either.requests()


def test_a_request_that_was_held_up_arrives_though_nobody_waits(sim: Simulator) -> None:
    """A delay outlives the caller: what was given up as lost is kept after all."""
    with line_to(sim) as line:
        line.arm("delay", seconds=0.6)
        assert ("ReadTimeout", []) == (met(line.url, invoice(), seconds=0.2), sim.documents())
        until(sim.documents, 5)


def test_refused_is_refused_until_cleared(either: Simulator) -> None:
    """The port is closed, kept-alive connections with it; the same port opens again."""
    with line_to(either) as line, requests.Session() as session:
        assert 404 == session.get(line.url, timeout=5, verify=AUTHORITY).status_code
        line.arm("refuse")
        with pytest.raises(requests.ConnectionError, match="refused"):
            session.get(line.url, timeout=5, verify=AUTHORITY)
        line.clear()
        assert "200 cXML" == met(line.url, invoice())


def test_what_goes_wrong_at_the_portal_passes_as_it_is(either: Simulator) -> None:
    """A reset is a reset (below TLS, where Python shows it as an end), an end an end, half a body half a body."""
    words = {"reset_after_commit": "reset", "drop_after_commit": "RemoteDisconnected"}
    with line_to(either) as line:
        for name, plainly in words.items():
            either.fault(name)
            with pytest.raises(requests.ConnectionError, match=plainly if "http:" in line.url else None):
                requests.get(line.url, timeout=5, verify=AUTHORITY)
        either.fault("cut_body_after_commit")
        assert "ChunkedEncodingError" == met(line.url, invoice("INV-3"))


def test_a_connection_is_kept_and_large_documents_pass(either: Simulator) -> None:
    """Several requests on one connection, one of a megabyte."""
    large = invoice().replace(b"</cXML>", b"<!-- " + b"x" * 1_000_000 + b" --></cXML>")
    with line_to(either) as line, requests.Session() as session:
        session.headers["Content-Type"] = XML
        sent = [session.post(line.url + PATH, body, timeout=10, verify=AUTHORITY) for body in (large, invoice("INV-2"))]
        codes = [reply.status_code for reply in sent]
        assert ([200, 200], 2) == (codes, len(either.documents()))


def test_it_befalls_the_request_that_it_hits_as_often_as_told(sim: Simulator) -> None:
    """Other requests pass; after the last time all do."""
    with line_to(sim) as line:
        line.arm("cut_request", 2, hits=lambda request: b"INV-2" in request)
        sent = [met(line.url, invoice(number)) for number in ("INV-1", "INV-2", "INV-2", "INV-2")]
        assert ["200 cXML", "ConnectionError", "ConnectionError", "200 cXML"] == sent


def test_closing_it_ends_whoever_waits(tls_sim: Simulator) -> None:
    """A caller in a black hole, one who never spoke and one in the middle of a handshake: all see the end."""
    before = threading.active_count()
    with line_to(tls_sim) as line:
        line.arm("black_hole")
        waiting = http.client.HTTPSConnection(
            "127.0.0.1", line.port, context=ssl.create_default_context(cafile=AUTHORITY), timeout=10
        )
        waiting.request("GET", "/")
        silent = socket.create_connection(("127.0.0.1", line.port), timeout=10)
        line.close()
        with contextlib.suppress(ConnectionResetError):
            assert b"" == silent.recv(1)
        with pytest.raises((http.client.RemoteDisconnected, ConnectionError, ssl.SSLError)):
            waiting.getresponse()
        silent.close()
        waiting.close()
    assert before == threading.active_count()


def test_what_cannot_be_armed_is_said_at_once(sim: Simulator) -> None:
    """An unknown name, and TLS where there is none to break."""
    with line_to(sim) as line:
        with pytest.raises(ValueError, match="earthquake is none of"):
            line.arm("earthquake")
        with pytest.raises(ValueError, match="speaks no TLS"):
            line.arm("tls_broken")
