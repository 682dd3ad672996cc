"""What stands in front of every page: whom it answers, and what a browser may do with the answer.

A page of this hub is reachable by whatever runs on this machine, a browser included. A foreign page could point its own
name at 127.0.0.1 (DNS rebinding) and read along; so only requests that name this machine are answered.
"""

from __future__ import annotations

from collections.abc import Mapping

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HOSTS = frozenset({"127.0.0.1", "localhost", "[::1]"})
HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_WRONG_HOST = "This hub answers to 127.0.0.1, localhost and [::1] only. Open it under one of these names.\n"


class Guard:
    """Refuses requests under foreign names, and puts HEADERS on every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: D102 - ASGI's
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        if host_name(Headers(scope=scope).getlist("host")) in HOSTS:
            await self.app(scope, receive, guarded)
        else:
            await PlainTextResponse(_WRONG_HOST, 421)(scope, receive, guarded)


def host_name(hosts: list[str]) -> str | None:
    """The name in the one Host header, without its port; None if there is none, several, or one that is no host."""
    if len(hosts) != 1:
        return None
    name, colon, port = hosts[0].strip().lower().rpartition(":")
    if not colon or port.endswith("]"):
        return hosts[0].strip().lower()
    return name if port.isascii() and port.isdigit() else None
