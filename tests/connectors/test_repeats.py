"""What is asked twice and what never is."""

from __future__ import annotations

import ast
import contextlib
import socket
from typing import Any

import pytest
from workbench import ROOT

from connectors.http import Http, Reply, WireSettings
from hub.contract.connector import Context, Deadline
from hub.contract.errors import Transient

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def ask(context: Context, url: str, method: str, *, commits: bool = False, times: int = 1) -> Reply:
    with contextlib.closing(Http(context, WireSettings())) as http:
        for _ in range(times):
            body = b"<x/>" if method == "POST" else None
            reply = http.send("submit", method, f"{url}/cxml", headers={}, body=body, commits=commits)
        return reply


def cut(portal: Any, line: socket.socket) -> None:
    """Read the request and close without a word."""
    portal.hear(line)


def reset(portal: Any, line: socket.socket) -> None:
    portal.hear(line)
    line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")


def answer_once_then_cut(portal: Any, line: socket.socket) -> None:
    """A kept-alive connection that the portal closes when the second request has come."""
    portal.hear(line)
    line.sendall(OK)
    portal.hear(line)


def status(line: str, *headers: str) -> bytes:
    return "\r\n".join([f"HTTP/1.1 {line}", "Content-Length: 2", *headers, "", "no"]).encode()


BUSY = status("503 Service Unavailable")


def busy(portal: Any, line: socket.socket) -> None:
    """Answer HTTP 503 and close."""
    portal.hear(line)
    line.sendall(BUSY)


UNTOLD = {
    "cut": cut,
    "reset": reset,
    "torn headers": b"HTTP/1.1 200 OK\r\nContent-T",
    "503": busy,
    "503 at once": status("503 Service Unavailable", "Retry-After: 0"),
    "429": status("429 Too Many Requests", "Retry-After: 0"),
    "408": status("408 Request Timeout"),
    "401": status("401 Unauthorized", 'WWW-Authenticate: Basic realm="x"'),
    "307": status("307 Temporary Redirect", "Location: /elsewhere"),
    "308": status("308 Permanent Redirect", "Location: /elsewhere"),
}


@pytest.mark.parametrize("commits", [True, False])
@pytest.mark.parametrize("name", UNTOLD)
def test_a_post_goes_out_once_whatever_comes_of_it(context: Context, serve: Any, name: str, *, commits: bool) -> None:
    """Neither we nor requests nor urllib3 nor http.client send it again, commit or not."""
    portal = serve(UNTOLD[name], OK)
    with contextlib.suppress(Transient):
        ask(context, portal.url, "POST", commits=commits)
    assert 1 == len(portal.heard)


def test_a_post_on_a_kept_connection_that_breaks_goes_out_once(context: Context, serve: Any) -> None:
    """A connection that dies under the second POST is no reason to open another and send it there."""
    portal = serve(answer_once_then_cut, OK)
    with pytest.raises(Transient):
        ask(context, portal.url, "POST", times=2)
    assert (2, 1) == (len(portal.heard), portal.connections)


def test_no_adapter_retries(context: Context) -> None:
    """What requests mounts for every scheme retries nothing, neither connecting nor reading nor redirects."""
    with contextlib.closing(Http(context, WireSettings())) as http:
        for adapter in http._session.adapters.values():
            assert (0, False) == (adapter.max_retries.total, adapter.max_retries.read)  # type: ignore[attr-defined]


def test_tenacity_is_used_in_one_place() -> None:
    """Whoever wants to repeat something passes by the one place that looks whether it is safe."""
    users = [
        path.relative_to(ROOT).as_posix()
        for top in ("hub", "connectors")
        for path in (ROOT / top).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom | ast.Import)
        and "tenacity" in {getattr(node, "module", None), *(alias.name for alias in node.names)}
    ]
    assert ["connectors/http.py"] == users


@pytest.mark.parametrize("name", ["cut", "reset", "torn headers", "503"])
def test_a_get_is_asked_again(context: Context, serve: Any, name: str) -> None:
    """What changes nothing may be asked three times; each time passes the gate."""
    portal = serve(UNTOLD[name], UNTOLD[name], OK)
    assert b"ok" == ask(context, portal.url, "GET").body
    assert 3 == len(portal.heard)
    assert ["gate submit"] * 3 == context.gate.asked  # type: ignore[attr-defined]


def test_after_three_times_the_last_answer_stands(context: Context, serve: Any) -> None:
    """A portal that is down is said to be down, with its own words."""
    portal = serve(busy)
    assert (503, b"no") == (ask(context, portal.url, "GET").status, b"no")
    with pytest.raises(Transient, match="no whole reply"):
        ask(context, serve(cut).url, "GET")
    assert 3 == len(portal.heard)


@pytest.mark.parametrize("name", ["503 at once", "429", "408", "401", "307"])
def test_an_answer_is_an_answer(context: Context, serve: Any, name: str) -> None:
    """A limit, a refused login, a redirect or a portal that named a time is not hurried."""
    portal = serve(UNTOLD[name], OK)
    ask(context, portal.url, "GET")
    assert 1 == len(portal.heard)


def test_no_time_and_no_stop_is_waited_through(context: Context, serve: Any) -> None:
    """Where the deadline leaves no time for another try, or the hub is stopping, the first answer stands."""
    context.deadline = Deadline(0.1)
    short = serve(busy)
    ask(context, short.url, "GET")
    assert 1 == len(short.heard)
    context.deadline = Deadline(10)

    def stop(portal: Any, line: socket.socket) -> None:
        portal.hear(line)
        context.cancel.set()
        line.sendall(BUSY)

    stopped = serve(stop)
    ask(context, stopped.url, "GET")
    assert 1 == len(stopped.heard)
