"""An empty ledger, a working day's ledger, and a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from ledger_rows import Rows, new_ledger
from working_day import working_day

from hub.store.blobs import Blobs
from hub.store.database import Database


@dataclass(frozen=True)
class Day:
    db: Database
    blobs: Blobs
    ids: dict[str, int]


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    ledger = new_ledger(tmp_path)
    yield ledger
    ledger.close()


@pytest.fixture(scope="session")
def day(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Day]:
    """Read-only: every kind of trouble, in one ledger."""
    folder = tmp_path_factory.mktemp("day")
    ledger, blobs = new_ledger(folder), Blobs(folder / "store")
    with ledger.writing("test") as tx:
        ids = working_day(Rows(tx), blobs)
    yield Day(ledger, blobs, ids)
    ledger.close()
