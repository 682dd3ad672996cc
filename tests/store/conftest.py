"""An empty ledger on each of the databases."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hub.store.database import Database


@pytest.fixture(params=["sqlite", "postgresql"])
def db(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A ledger, brought to this version."""
    if request.param == "sqlite":
        made = Database(f"sqlite:///{tmp_path / 'hub.db'}")
        made.migrate()
    else:
        made = Database(request.getfixturevalue("postgresql"))
    yield made
    made.close()
