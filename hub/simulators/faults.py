"""What can go wrong on the way: one small function per fault, in one table.

A fault is handed the wire and a `deed`: `commit` lets the portal do its work and gives the reply it would send, `deny`
gives what it would say to a login that it does not know. A fault that never calls `commit` leaves nothing behind; one
that does leaves what a real portal would have kept.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from hub.simulators.wire import LOGIN, LOGIN_PATH, Reply, Wire, page

VERBS = ("submit", "find", "statuses", "token", "profile")
DEFAULT_SECONDS = 30.0  # of a fault that lasts

MAINTENANCE = page(200, "Scheduled maintenance", "The network is being maintained. Please try again later.")
MAINTENANCE_503 = page(503, "Scheduled maintenance", "The network is being maintained. Please try again later.")


@dataclass(frozen=True)
class Deed:
    """What was asked for: `commit` does it, once or not at all; `deny` does nothing."""

    commit: Callable[[], Reply]
    deny: Callable[[], Reply]


@dataclass
class Fault:
    """One fault that is armed. With `left` None it stays until it is cleared; `number` narrows it to one invoice."""

    name: str
    verb: str = "any"
    left: int | None = 1
    number: str | None = None
    seconds: float = DEFAULT_SECONDS

    def hits(self, verb: str, number: str | None) -> bool:
        """Whether this fault concerns a request of this verb for this invoice number."""
        return self.verb in ("any", verb) and (self.number is None or self.number == (number or "").strip())


def drop_before_commit(wire: Wire, _deed: Deed, _fault: Fault) -> None:
    """Everything was read, nothing was done, and the connection is closed."""
    wire.close()


def drop_after_commit(wire: Wire, deed: Deed, _fault: Fault) -> None:
    """Everything was done, and the connection is closed without a byte."""
    deed.commit()
    wire.close()


def reset_after_commit(wire: Wire, deed: Deed, _fault: Fault) -> None:
    """Everything was done, and the connection is reset."""
    deed.commit()
    wire.reset()


def hang_after_commit(wire: Wire, deed: Deed, fault: Fault) -> None:
    """Everything was done, then nothing is said for `seconds`, then the connection is closed."""
    deed.commit()
    time.sleep(fault.seconds)
    wire.close()


def torn_headers_after_commit(wire: Wire, deed: Deed, _fault: Fault) -> None:
    """Everything was done, and the reply ends within its headers."""
    head = deed.commit().head()
    wire.send(head[: head.index(b"\r\n") + len(b"\r\nContent-T")])
    wire.close()


def cut_body_after_commit(wire: Wire, deed: Deed, _fault: Fault) -> None:
    """Everything was done, and half of the reply's body arrives."""
    reply = deed.commit()
    wire.send(reply.head() + reply.body[: len(reply.body) // 2])
    wire.close()


def server_error_after_commit(wire: Wire, deed: Deed, _fault: Fault) -> None:
    """Everything was done, and a web server in front answers HTTP 500 with its own page."""
    deed.commit()
    wire.reply(page(500, "Internal Server Error", "The server could not complete the request."))


def html_page(wire: Wire, _deed: Deed, _fault: Fault) -> None:
    """Nothing was done, and a maintenance page comes with HTTP 200."""
    wire.reply(MAINTENANCE)


def html_page_after_commit(wire: Wire, deed: Deed, _fault: Fault) -> None:
    """Everything was done, and a maintenance page comes with HTTP 200."""
    deed.commit()
    wire.reply(MAINTENANCE)


def empty_200(wire: Wire, _deed: Deed, _fault: Fault) -> None:
    """Nothing was done, and HTTP 200 comes with an empty body."""
    wire.reply(Reply(200, "text/xml; charset=utf-8", b""))


def empty_200_after_commit(wire: Wire, deed: Deed, _fault: Fault) -> None:
    """Everything was done, and HTTP 200 comes with an empty body."""
    deed.commit()
    wire.reply(Reply(200, "text/xml; charset=utf-8", b""))


def unavailable(wire: Wire, _deed: Deed, _fault: Fault) -> None:
    """Nothing was done, and HTTP 503 comes in a few words."""
    wire.reply(Reply(503, "text/plain; charset=utf-8", b"upstream connect error"))


def unavailable_page(wire: Wire, _deed: Deed, _fault: Fault) -> None:
    """Nothing was done, and a maintenance page comes with HTTP 503."""
    wire.reply(MAINTENANCE_503)


def too_many(wire: Wire, _deed: Deed, fault: Fault) -> None:
    """Nothing was done, and HTTP 429 asks to come back after `seconds`, in whole ones."""
    reply = page(429, "Too Many Requests", "The limit of requests is exceeded.")
    wire.reply(replace(reply, headers=(("Retry-After", f"{max(1, round(fault.seconds))}"),)))


def unauthorized(wire: Wire, _deed: Deed, _fault: Fault) -> None:
    """Nothing was done, and a web server in front answers HTTP 401."""
    reply = page(401, "Unauthorized", "Authorization is required.")
    wire.reply(replace(reply, headers=(("WWW-Authenticate", 'Bearer error="invalid_token"'),)))


def unauthorized_in_body(wire: Wire, deed: Deed, _fault: Fault) -> None:
    """Nothing was done, and the portal says in its own form that it does not know the caller."""
    wire.reply(deed.deny())


def login_page(wire: Wire, _deed: Deed, _fault: Fault) -> None:
    """Nothing was done, and a login form comes with HTTP 200."""
    wire.reply(LOGIN)


def login_redirect(wire: Wire, _deed: Deed, _fault: Fault) -> None:
    """Nothing was done, and HTTP 302 leads to a login form."""
    wire.reply(Reply(302, "text/html; charset=utf-8", b"", (("Location", LOGIN_PATH),)))


def slow(wire: Wire, deed: Deed, fault: Fault) -> None:
    """Everything was done, and the reply comes after `seconds`."""
    reply = deed.commit()
    time.sleep(fault.seconds)
    wire.reply(reply)


def late_commit(wire: Wire, deed: Deed, fault: Fault) -> None:
    """HTTP 500 comes at once; everything is done after `seconds`."""
    timer = threading.Timer(fault.seconds, deed.commit)
    timer.daemon = True
    timer.start()
    wire.reply(page(500, "Internal Server Error", "The server could not complete the request."))


Act = Callable[[Wire, Deed, Fault], None]
ACTS: Mapping[str, Act] = {
    "drop_before_commit": drop_before_commit,
    "drop_after_commit": drop_after_commit,
    "reset_after_commit": reset_after_commit,
    "hang_after_commit": hang_after_commit,
    "torn_headers_after_commit": torn_headers_after_commit,
    "cut_body_after_commit": cut_body_after_commit,
    "500_after_commit": server_error_after_commit,
    "html_page": html_page,
    "html_page_after_commit": html_page_after_commit,
    "empty_200": empty_200,
    "empty_200_after_commit": empty_200_after_commit,
    "503": unavailable,
    "503_page": unavailable_page,
    "429": too_many,
    "401": unauthorized,
    "401_in_body": unauthorized_in_body,
    "login_page": login_page,
    "login_redirect": login_redirect,
    "slow": slow,
    "late_commit": late_commit,
}
LASTING = frozenset({"refuse", "hang_after_commit", "429", "slow", "late_commit"})  # these take `seconds`
OF_THE_PORT = frozenset({"refuse"})  # no request ever arrives: verb, times and number mean nothing


class Faults:
    """The faults that are armed, oldest first. Safe to use from every thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._armed: list[Fault] = []

    def arm(self, fault: Fault) -> None:
        """Let `fault` hit the next requests that it concerns."""
        with self._lock:
            self._armed.append(fault)

    def take(self, verb: str, number: str | None) -> Fault | None:
        """The fault that hits this request, counted as used once; None where there is none."""
        if not self._armed:
            return None
        with self._lock:
            fault = next((f for f in self._armed if f.hits(verb, number)), None)
            if fault and fault.left is not None:
                fault.left -= 1
                if fault.left == 0:
                    self._armed.remove(fault)
            return fault

    def clear(self) -> None:
        """Disarm them all."""
        with self._lock:
            self._armed.clear()

    def armed(self) -> tuple[Fault, ...]:
        """Those still waiting for a request."""
        with self._lock:
            return tuple(self._armed)
