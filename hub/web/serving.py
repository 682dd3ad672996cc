"""Serving the page on this machine until Ctrl-C."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from types import FrameType

import uvicorn
from fastapi import FastAPI

from hub.delivery.workspace import utc_now
from hub.store.blobs import Blobs
from hub.store.database import Database
from hub.view import STALE_AFTER, Names
from hub.web.app import create_app

_GRACE_SECONDS = 5  # for requests under way when the end is asked for


def serve(db: Database, blobs: Blobs, names: Names, host: str, port: int, *, say: Callable[[str], None]) -> None:
    """Serve on `host`:`port` (0: a free one) until SIGINT or SIGTERM; OSError if the port is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family)
    except OSError as error:
        words = os.strerror(error.errno) if error.errno else str(error)
        told = f"the page cannot be served at {host}, port {port}: {words}; name another --port"
        raise OSError(told) from error
    with listener:
        shown = f"[{host}]" if family is socket.AF_INET6 else host
        where = f"The page: http://{shown}:{listener.getsockname()[1]}/  (Ctrl-C ends it)"
        app = create_app(db, blobs, names=names, now=utc_now, stale_after=STALE_AFTER)
        _Server(app, lambda: say(where)).run(sockets=[listener])


class _Server(uvicorn.Server):
    """Says so when it serves, and ends quietly: uvicorn itself raises the signal again when all is done."""

    def __init__(self, app: FastAPI, serving: Callable[[], None]) -> None:
        super().__init__(
            uvicorn.Config(app, log_level="warning", lifespan="off", timeout_graceful_shutdown=_GRACE_SECONDS)
        )
        self._serving = serving

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self._serving()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - uvicorn's
        self.should_exit = True
