from __future__ import annotations

import sqlite3
from typing import Any

import pytest
from lxml import html

from hub.web.guard import HEADERS, host_name

EVERY_PAGE = ("/", "/invoices/1", "/portals", "/healthz", "/api/v1/invoices", "/static/hub.css", "/nothing", "/?kind=x")


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.0.0.1:8321", "localhost", "LOCALHOST:80", "[::1]", "[::1]:8321"],
)
def test_this_machine_is_answered(site: Any, host: str) -> None:
    """By each of its names, with and without a port."""
    assert 200 == site.client.get("/", headers={"Host": host}).status_code


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8321",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "evil.example:127.0.0.1",
        "127.0.0.1:80@evil.example",
        "127.0.0.2",
        "10.0.0.1",
        "[::2]",
        "::1",
        "",
        "testserver",
    ],
)
@pytest.mark.parametrize("path", EVERY_PAGE)
def test_foreign_names_are_refused(site: Any, host: str, path: str) -> None:
    """A page that points its own name at this machine reads nothing, on any address."""
    answer = site.client.get(path, headers={"Host": host})
    assert 421 == answer.status_code
    assert "INV-" not in answer.text


@pytest.mark.parametrize(
    ("hosts", "name"),
    [([], None), (["localhost", "evil.example"], None), (["localhost:x"], None), (["[::1]:80"], "[::1]")],
)
def test_the_name_in_a_host_header(hosts: list[str], name: str | None) -> None:
    """None, several and malformed ones name nothing."""
    assert name == host_name(hosts)


@pytest.mark.parametrize("path", [*EVERY_PAGE, "/documents/" + "0" * 64])
def test_every_answer_forbids_what_it_does_not_need(site: Any, path: str) -> None:
    """Scripts, frames, foreign sources, sniffing, referrers and caches are ruled out everywhere, once each."""
    answer = site.client.get(path)
    for name, value in HEADERS.items():
        assert [value] == answer.headers.get_list(name)
    policy = dict(part.strip().split(" ", 1) for part in HEADERS["Content-Security-Policy"].split(";"))
    assert {"'none'"} == {policy[name] for name in ("default-src", "frame-ancestors", "base-uri")}
    assert {"'self'"} == {policy[name] for name in ("style-src", "img-src", "form-action")}
    assert "unsafe" not in HEADERS["Content-Security-Policy"]


def test_a_defect_is_an_answer_like_any_other(site: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page that fails says so in its own look, with every header and without a word of the cause."""

    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("secret cause")

    monkeypatch.setattr("hub.web.app.open_tasks", broken)
    answer = site.client.get("/portals")
    assert (500, "Internal Server Error") == (answer.status_code, html.fromstring(answer.text).findtext(".//h1"))
    assert "secret cause" not in answer.text
    assert HEADERS.items() <= {name: answer.headers[name] for name in HEADERS}.items()


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("path", ["/", "/invoices/1", "/portals", "/api/v1/invoices", "/static/hub.css"])
def test_nothing_can_be_written(site: Any, method: str, path: str) -> None:
    """Every address can only be read."""
    assert 405 == site.client.request(method, path).status_code


def test_a_lost_database_is_no_empty_list(site: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing can be read, no page claims that there is nothing."""

    def lost(*_: Any, **__: Any) -> None:
        raise sqlite3.OperationalError("unable to open database file")

    monkeypatch.setattr(site.db.engine.dialect, "do_execute", lost)
    for path in ("/", "/portals", "/invoices/1", "/healthz", "/api/v1/invoices"):
        assert 503 == site.client.get(path).status_code
