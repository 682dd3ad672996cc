from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ledger_rows import NOW, Rows
from working_day import NAMES, working_day

from hub.contract.status import WhoseMove
from hub.store.blobs import Blobs
from hub.store.database import Database
from hub.view import (
    Filters,
    Outcome,
    explain,
    explain_document,
    invoices,
    is_known,
    open_tasks,
    read_filters,
    summary,
    unmatched,
)


@pytest.fixture
def ledger(postgresql: str) -> Iterator[Database]:
    """An empty ledger on a real server."""
    made = Database(postgresql)
    yield made
    made.close()


def test_both_databases_show_the_same(day: Any, ledger: Database, tmp_path: Path) -> None:
    """Every list, count, search and story of a working day is the same on PostgreSQL as on SQLite."""
    blobs = Blobs(tmp_path / "store")
    with ledger.writing("test") as tx:
        working_day(Rows(tx), blobs)
    wanted = [Filters(whose_move=who) for who in WhoseMove] + [Filters(outcome=outcome) for outcome in Outcome]
    searches = ({"text": "acme"}, {"text": "%"}, {"stages": ["none", "paid"]}, {"entity": "south", "kind": "invoice"})
    wanted += [read_filters(day.db, NAMES, **words) for words in searches]
    for ask in (
        *(lambda db, f=filters: invoices(db, f, now=NOW) for filters in wanted),
        lambda db: invoices(db, Filters(), now=NOW, after=9, limit=3),
        summary,
        open_tasks,
        unmatched,
        lambda db: [explain_document(db, blobs, document_id, now=NOW) for document_id in day.ids.values()],
        lambda db: explain(db, blobs, "AN-5500123", now=NOW),
        lambda db: [is_known(db, sha256) for sha256 in ("0" * 64, "f" * 64)],
    ):
        assert ask(day.db) == ask(ledger)
