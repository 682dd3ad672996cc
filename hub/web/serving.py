"""Serving the page on this machine until Ctrl-C."""

from __future__ import annotations

import socket
from collections.abc import Callable

import uvicorn

from hub.delivery.workspace import utc_now
from hub.store.blobs import Blobs
from hub.store.database import Database
from hub.view import STALE_AFTER, Names
from hub.web.app import create_app


def serve(db: Database, blobs: Blobs, names: Names, host: str, port: int, *, say: Callable[[str], None]) -> None:
    """Serve on `host`:`port` (0: a free one) until SIGINT or SIGTERM; OSError if the port is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family)
    except OSError as error:
        told = f"the page cannot be served at {host}, port {port}: {error.strerror}; name another --port"
        raise OSError(told) from error
    with listener:
        shown = f"[{host}]" if family is socket.AF_INET6 else host
        say(f"The page: http://{shown}:{listener.getsockname()[1]}/  (Ctrl-C ends it)")
        app = create_app(db, blobs, names=names, now=utc_now, stale_after=STALE_AFTER)
        uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off")).run(sockets=[listener])
