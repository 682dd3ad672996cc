"""What every simulated portal has around its own answers: the port, the faults and the log of requests."""

from __future__ import annotations

import datetime as dt
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from hub.simulators.faults import ACTS, Deed, Fault, Faults
from hub.simulators.server import Server
from hub.simulators.wire import LOGIN, LOGIN_PATH, Reply, Request, Wire, page

LOG_ENTRIES = 100_000  # older ones are forgotten
GONE = page(410, "Gone", "The portal was reset in the meantime.")

Json = Mapping[str, object]
Route = Callable[[Json], object]  # JSON body or query in, JSON out; raises Unable


class Unable(Exception):
    """The control plane cannot do that."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


@dataclass(frozen=True)
class Call:
    """What a request asks for. Only `run` changes anything; it may be called once or not at all.

    `deny` gives what the portal says to a login that it does not know.
    """

    verb: str
    number: str | None
    run: Callable[[], Reply]
    deny: Callable[[], Reply]


class Application(Protocol):
    """One portal's own behaviour."""

    max_body: int

    def call(self, request: Request) -> Call:
        """What this request asks for, without doing it."""

    def now(self) -> dt.datetime:
        """The portal's time, UTC."""

    def clear(self) -> None:
        """Let searches and feeds be honest again."""

    def reset(self) -> None:
        """Forget every document, token and count, and be honest again."""

    def routes(self) -> Mapping[tuple[str, str], Route]:
        """The portal's own control routes, by method and path."""


@dataclass
class Entry:
    """One line of the request log. `time` is the portal's, UTC."""

    verb: str
    time: str
    method: str
    path: str
    query: str
    number: str | None
    fault: str | None
    outcome: str


class Portal:
    """An application at its port, with the faults that befall it."""

    def __init__(self, app: Application, port: int, tls: tuple[Path, Path] | None) -> None:
        self.app = app
        self.faults = Faults()
        self.log: deque[Entry] = deque(maxlen=LOG_ENTRIES)
        self._life = 0  # counts the resets
        self._reopening: threading.Timer | None = None
        self.server = Server(self._answer, port=port, max_body=app.max_body, tls=tls)

    def _answer(self, wire: Wire, request: Request) -> None:
        if request.path == LOGIN_PATH:
            wire.reply(LOGIN)  # where one who follows a redirect comes to
            return
        call = self.app.call(request)
        fault = self.faults.take(call.verb, call.number)
        entry = Entry(
            call.verb,
            self.app.now().isoformat(),
            request.method,
            request.path,
            request.query,
            call.number,
            fault.name if fault else None,
            "nothing done",
        )
        self.log.append(entry)

        life = self._life

        def commit() -> Reply:
            if life != self._life:
                return GONE  # a late commit of what was forgotten since
            reply = call.run()
            entry.outcome = reply.outcome
            return reply

        if fault:
            ACTS[fault.name](wire, Deed(commit, call.deny), fault)
        else:
            wire.reply(commit())

    def arm(self, fault: Fault) -> None:
        """Let `fault` happen: at once if it is the port's, else to the next request that it concerns."""
        if fault.name == "refuse":
            self._refuse(fault.seconds)
        else:
            self.faults.arm(fault)

    def clear(self) -> None:
        """Disarm every fault, let searches and feeds be honest, and open the port if it was shut."""
        self.faults.clear()
        self.app.clear()
        if self._reopening:
            self._reopening.cancel()
            self._reopening = None
        self.server.open()

    def reset(self) -> None:
        """As if just started, with the same configuration."""
        self._life += 1
        self.clear()
        self.log.clear()
        self.app.reset()

    def _refuse(self, seconds: float) -> None:
        if self._reopening:
            self._reopening.cancel()
        self._reopening = threading.Timer(seconds, self.server.open)
        self._reopening.daemon = True
        self._reopening.start()
        self.server.shut()
