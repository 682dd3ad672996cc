"""One exchange, every way it can fail, against a server of raw sockets."""

from __future__ import annotations

import contextlib
import datetime as dt
import gzip
import socket
import ssl
import threading
import time
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from connectors.http import Http, Reply, WireSettings
from hub.contract.connector import Context, Deadline
from hub.contract.errors import AuthFailed, Transient
from hub.contract.status import Delivered

HERE = Path(__file__).parent
CANARY = "canary-7c1f"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def post(context: Context, url: str, **settings: Any) -> Reply:
    with contextlib.closing(Http(context, WireSettings(**settings))) as http:
        headers = {"Authorization": f"Bearer {CANARY}"}
        return http.send("submit", "POST", f"{url}/cxml", headers=headers, body=CANARY.encode(), commits=True)


def failure(context: Context, url: str, **settings: Any) -> Transient:
    with pytest.raises(Transient) as raised:
        post(context, url, **settings)
    return raised.value


def drip(head: bytes) -> Any:
    """Answer with `head` at once and then one byte every 50 ms, for ever."""

    def behave(portal: Any, line: socket.socket) -> None:
        portal.hear(line)
        line.sendall(head)
        while True:
            line.sendall(b"x")
            time.sleep(0.05)

    return behave


def cut_after_reading(portal: Any, line: socket.socket) -> None:
    portal.hear(line)


def reset_after_reading(portal: Any, line: socket.socket) -> None:
    portal.hear(line)
    line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")


def hang(portal: Any, line: socket.socket) -> None:
    portal.hear(line)
    time.sleep(30)


def test_a_reply_comes_back_whole_and_what_was_sent_is_what_was_given(context: Context, serve: Any) -> None:
    """Status, headers in any case and body are the portal's; the request bears our headers and bytes."""
    portal = serve(b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\nX-Id: 7\r\n\r\nok")
    reply = post(context, portal.url, user_agent="hub/1")
    assert (201, b"ok", "7") == (reply.status, reply.body, reply.headers["x-id"])
    head, _, body = portal.heard[0].partition(b"\r\n\r\n")
    assert CANARY.encode() == body
    assert b"User-Agent: hub/1" in head
    assert b"POST /cxml HTTP/1.1" in head


def test_the_gate_comes_first_and_the_point_of_no_return_last(context: Context, lent: Any, serve: Any) -> None:
    """A submit passes the gate, then the point of no return, then nothing but the wire."""
    post(context, serve(OK).url)
    assert ["gate submit", "point of no return"] == lent.asked


def test_what_only_reads_has_no_point_of_no_return(context: Context, lent: Any, serve: Any) -> None:
    """find, statuses and token count at the gate only."""
    with contextlib.closing(Http(context, WireSettings())) as http:
        http.send("find", "GET", serve(OK).url, headers={})
    assert ["gate find"] == lent.asked


def test_a_connection_is_kept_alive(context: Context, serve: Any) -> None:
    """Two requests of one instance use one connection."""
    portal = serve(OK)
    with contextlib.closing(Http(context, WireSettings())) as http:
        for _ in range(2):
            assert b"ok" == http.send("find", "GET", portal.url, headers={}).body
    assert 1 == portal.connections


def refused_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    return f"http://127.0.0.1:{port}"


@pytest.mark.parametrize("url", [refused_port(), "http://no-such-host.invalid"], ids=["refused", "no such name"])
def test_without_a_connection_nothing_was_delivered(context: Context, url: str) -> None:
    """Refused, and a name that does not exist: certainly not delivered."""
    assert Delivered.NO is failure(context, url).delivered


def test_a_connection_that_never_stands_delivers_nothing(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    """An address that does not answer to connecting: certainly not delivered."""

    def silent(*_: Any, **__: Any) -> socket.socket:
        raise TimeoutError

    monkeypatch.setattr("urllib3.util.connection.create_connection", silent)
    assert Delivered.NO is failure(context, "http://127.0.0.1:9").delivered


def test_a_connection_that_stands_too_late_sends_nothing(
    context: Context, serve: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Name look-up may take longer than all the time there is; then not a byte goes out."""
    portal = serve(OK)
    connect = socket.getaddrinfo

    def slow(*args: Any, **kwargs: Any) -> Any:
        time.sleep(0.4)
        return connect(*args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    assert Delivered.NO is failure(context, portal.url, timeout="0.2s").delivered
    assert [] == portal.heard


REPLIES = {
    "closed after reading": cut_after_reading,
    "reset after reading": reset_after_reading,
    "torn in its headers": b"HTTP/1.1 200 OK\r\nServer: por",
    "torn behind its length": lambda portal, line: (
        portal.hear(line),
        line.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 90\r\nServ"),
    ),
    "cut in its body": lambda portal, line: (
        portal.hear(line),
        line.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\n<cXML>"),
    ),
    "cut in a chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n<cXML>",
    "cut between chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\n<cXML>\r\n",
    "empty": b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "no HTTP": b"SSH-2.0-portal\r\n",
    "endless headers": b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 200 + b"\r\n",
    "broken compression": b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nabcd",
}


@pytest.mark.parametrize("name", REPLIES)
def test_a_reply_that_is_none_leaves_the_delivery_unknown(context: Context, serve: Any, name: str) -> None:
    """Once the request began, whatever is not a whole reply may hide a success."""
    portal = serve(REPLIES[name])
    assert Delivered.UNKNOWN is failure(context, portal.url).delivered
    assert 1 == len(portal.heard), "sent once, never again"


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\nServer: ",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n",
        b"",
    ],
    ids=["headers", "body to the end", "body of a length", "status line"],
)
def test_a_dripping_reply_ends_at_the_deadline(context: Context, serve: Any, head: bytes) -> None:
    """A byte now and then resets requests' time-out for ever; the total deadline holds nevertheless."""
    began = time.monotonic()
    context.deadline = Deadline(0.4)
    error = failure(context, serve(drip(head)).url)
    assert Delivered.UNKNOWN is error.delivered
    assert 0.3 < time.monotonic() - began < 2
    assert "the time was up" in str(error)


def test_a_hanging_reply_ends_at_the_deadline(context: Context, serve: Any) -> None:
    """Silence after the request: the delivery is unknown, and the thread is free again in time."""
    began = time.monotonic()
    context.deadline = Deadline(0.3)
    assert Delivered.UNKNOWN is failure(context, serve(hang).url).delivered
    assert time.monotonic() - began < 2


def test_the_setting_timeout_holds_within_the_deadline(context: Context, serve: Any) -> None:
    """Whichever of the two ends sooner."""
    began = time.monotonic()
    assert Delivered.UNKNOWN is failure(context, serve(hang).url, timeout="0.3s").delivered
    assert time.monotonic() - began < 2


def test_a_kept_alive_connection_is_watched_too(context: Context, serve: Any) -> None:
    """The second request on one connection drips and is cut off as well."""

    def once_then_drip(portal: Any, line: socket.socket) -> None:
        portal.hear(line)
        line.sendall(OK)
        drip(b"HTTP/1.1 200 OK\r\nServer: ")(portal, line)

    portal = serve(once_then_drip)
    with contextlib.closing(Http(context, WireSettings(timeout="0.4s"))) as http:
        http.send("submit", "POST", portal.url, headers={}, body=b"x")
        with pytest.raises(Transient, match="the time was up"):
            http.send("submit", "POST", portal.url, headers={}, body=b"x")
    assert 1 == portal.connections


def test_no_thread_or_descriptor_is_left_behind(context: Context, serve: Any) -> None:
    """A hundred exchanges, good and bad, leave nothing that grows."""
    good, bad = serve(OK), serve(cut_after_reading)
    before = threading.active_count()
    descriptors = len(list(Path("/proc/self/fd").iterdir())) if Path("/proc/self/fd").is_dir() else 0
    for _ in range(50):
        post(context, good.url)
        failure(context, bad.url)
    time.sleep(0.2)
    assert threading.active_count() <= before + 2
    if descriptors:
        assert len(list(Path("/proc/self/fd").iterdir())) <= descriptors + 110, "the portals' own ends"


def test_no_time_left_sends_nothing(context: Context, lent: Any, serve: Any) -> None:
    """A deadline that has passed is noticed before the point of no return."""
    portal = serve(OK)
    context.deadline = Deadline(-1)
    assert Delivered.NO is failure(context, portal.url).delivered
    assert (["gate submit"], []) == (lent.asked, portal.heard)


def test_a_hub_that_stops_sends_nothing(context: Context, serve: Any) -> None:
    """Once it is told to stop, no request begins."""
    portal = serve(OK)
    context.cancel.set()
    assert Delivered.NO is failure(context, portal.url).delivered
    assert [] == portal.heard


def test_a_lost_right_to_send_sends_nothing(context: Context, serve: Any) -> None:
    """What the point of no return raises comes through, and nothing went out."""
    portal = serve(OK)

    def gone() -> None:
        raise Transient("another worker took over", delivered=Delivered.NO)

    context.point_of_no_return = gone
    assert "another worker took over" == str(failure(context, portal.url))
    assert [] == portal.heard


def test_redirects_are_not_followed(context: Context, serve: Any) -> None:
    """A redirect is an answer like any other: it would send the credentials, or the invoice, elsewhere or twice."""
    elsewhere = serve(OK)
    head = f"HTTP/1.1 307 Temporary Redirect\r\nLocation: {elsewhere.url}/\r\nContent-Length: 0\r\n\r\n"
    assert 307 == post(context, serve(head.encode()).url).status
    assert [] == elsewhere.heard


def test_a_reply_may_not_be_longer_than_its_limit(context: Context, serve: Any) -> None:
    """Counted in unpacked bytes: a small reply that unfolds to a large one is refused as well."""
    bomb = gzip.compress(b"x" * 30_000_000)
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(bomb)
    error = failure(context, serve(head + bomb).url, reply_limit=1_000_000)
    assert Delivered.UNKNOWN is error.delivered
    assert "reply_limit" in str(error)


def test_204_may_be_empty(context: Context, serve: Any) -> None:
    """No Content says so itself."""
    reply = post(context, serve(b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n").url)
    assert (204, b"") == (reply.status, reply.body)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120),
        (" 7 ", 7),
        ("", None),
        ("soon", None),
        ("-3", None),
        ("99999999999999", None),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0),
    ],
)
def test_retry_after_in_seconds(value: str, seconds: int | None) -> None:
    """Seconds or a date; anything else says nothing, and a date that has passed asks for no wait."""
    expected = None if seconds is None else dt.timedelta(seconds=seconds)
    assert expected == Reply(429, {"Retry-After": value}, b"").retry_after


def test_retry_after_as_a_date() -> None:
    """The time until the date, never less than nothing."""
    later = format_datetime(dt.datetime.now(dt.UTC) + dt.timedelta(seconds=90), usegmt=True)
    wait = Reply(429, {"Retry-After": later}, b"").retry_after
    assert wait is not None
    assert 80 < wait.total_seconds() <= 90


@pytest.mark.parametrize("behaviour", [cut_after_reading, b"HTTP/1.1 200 OK\r\nServer: x", hang])
def test_no_error_tells_a_secret(context: Context, serve: Any, behaviour: Any) -> None:
    """Neither the message nor what hangs on the exception quotes the request."""
    context.deadline = Deadline(0.3)
    error = failure(context, serve(behaviour).url)
    told = f"{error!s} {error!r} {error.__cause__!r} {error.__dict__}"
    assert CANARY not in told
    assert error.__suppress_context__ or error.__context__ is None


@pytest.mark.parametrize("value", ["key\n", "key\r\nX: y", "schlüssel"])
def test_a_credential_that_no_header_can_carry_is_told_by_name(context: Context, serve: Any, value: str) -> None:
    """A line break behind a pasted key is not sent, and the key is not shown."""
    portal = serve(OK)
    with contextlib.closing(Http(context, WireSettings())) as http, pytest.raises(AuthFailed) as raised:
        http.send("find", "GET", portal.url, headers={"apiKey": value})
    assert "apiKey" in str(raised.value)
    assert value.strip() not in str(raised.value)
    assert [] == portal.heard


def test_reply_headers_are_kept_without_cookies(context: Context, lent: Any, serve: Any) -> None:
    """Diagnostics hold the status and the headers, but no session; and no cookie ever goes back."""
    portal = serve(
        b"HTTP/1.1 200 OK\r\nSet-Cookie: sid=1\r\nX-RateLimit-Remaining-day: 4\r\nContent-Length: 2\r\n\r\nok"
    )
    with contextlib.closing(Http(context, WireSettings())) as http:
        for _ in range(2):
            http.send("find", "GET", portal.url, headers={})
    assert b"200\nX-RateLimit-Remaining-day: 4\nContent-Length: 2\n" == lent.kept["find.reply-headers"]
    assert b"Cookie" not in portal.heard[1]


def test_proxies_of_the_environment_are_used_only_if_asked_for(
    context: Context, serve: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """HTTP_PROXY alone changes nothing; with the setting the request goes through the proxy."""
    proxy, portal = serve(OK), serve(OK)
    monkeypatch.setenv("HTTP_PROXY", proxy.url)
    monkeypatch.setenv("http_proxy", proxy.url)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    post(context, portal.url)
    assert (0, 1) == (len(proxy.heard), len(portal.heard))
    post(context, portal.url, proxy_from_environment=True)
    assert (1, 1) == (len(proxy.heard), len(portal.heard))


def tls() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(HERE / "loopback.pem")
    return context


def test_a_certificate_that_we_refuse_delivers_nothing(context: Context, serve: Any) -> None:
    """It is checked before anything is sent; with the portal's authority in ca_bundle it passes."""
    portal = serve(OK, tls=tls())
    assert Delivered.NO is failure(context, portal.url).delivered
    assert [] == portal.heard
    assert b"ok" == post(context, portal.url, ca_bundle=HERE / "loopback-ca.pem").body


def test_tls_that_breaks_otherwise_leaves_the_delivery_unknown(context: Context, serve: Any) -> None:
    """An SSL error alone proves nothing: only a certificate refused by us does."""
    portal = serve(lambda _portal, line: line.recv(1))
    url = portal.url.replace("http:", "https:")
    assert Delivered.UNKNOWN is failure(context, url).delivered


def test_a_tls_handshake_that_hangs_ends_at_the_deadline(context: Context, serve: Any) -> None:
    """The watchdog sees a connection before TLS wraps it."""
    began = time.monotonic()
    context.deadline = Deadline(0.3)
    url = serve(lambda _portal, _line: time.sleep(30)).url.replace("http:", "https:")
    assert Delivered.UNKNOWN is failure(context, url).delivered
    assert time.monotonic() - began < 2


def test_a_dripping_tls_reply_ends_at_the_deadline(context: Context, serve: Any) -> None:
    """The same over TLS."""
    began = time.monotonic()
    portal = serve(drip(b"HTTP/1.1 200 OK\r\nServer: "), tls=tls())
    error = failure(context, portal.url, ca_bundle=HERE / "loopback-ca.pem", timeout="0.4s")
    assert "the time was up" in str(error)
    assert time.monotonic() - began < 2


def test_a_certificate_that_does_not_exist_is_a_fault_of_the_settings() -> None:
    """A missing file is told when the settings are read, not when an invoice waits."""
    with pytest.raises(ValidationError, match="ca_bundle"):
        WireSettings(ca_bundle=HERE / "no-such.pem")  # type: ignore[arg-type]
