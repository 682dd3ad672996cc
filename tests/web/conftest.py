"""The pages over a working day's ledger, served on this machine."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import uvicorn

from hub.store.blobs import Blobs
from hub.store.database import Database
from hub.web.app import create_app

sys.path.insert(0, str(Path(__file__).parent.parent / "view"))
from ledger_rows import NOW, Rows, new_ledger
from working_day import NAMES, working_day


@dataclass(frozen=True)
class Site:
    client: httpx.Client
    db: Database
    blobs: Blobs
    ids: dict[str, int]


@contextmanager
def _site(folder: Path, *, filled: bool) -> Iterator[Site]:
    db, blobs = new_ledger(folder), Blobs(folder / "store")
    ids: dict[str, int] = {}
    if filled:
        with db.writing("test") as tx:
            ids = working_day(Rows(tx), blobs)
    app = create_app(db, blobs, names=NAMES, now=lambda: NOW)
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="critical", lifespan="off", ws="none"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(0.005)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        one_each = httpx.Limits(max_keepalive_connections=0)  # after a defect the server closes a connection
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, limits=one_each) as client:
            yield Site(client, db, blobs, ids)
    finally:
        server.should_exit = True
        thread.join()
        db.close()


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Read-only: every kind of trouble."""
    with _site(tmp_path_factory.mktemp("site"), filled=True) as whole:
        yield whole


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Site]:
    """A ledger in which nothing is yet."""
    with _site(tmp_path, filled=False) as bare:
        yield bare
