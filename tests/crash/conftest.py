"""What the crash tests share: an empty ledger, and what each trouble's road crosses."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from hub.store.database import Database
from tests.crash.plan import Roads, survey


@pytest.fixture(autouse=True, scope="package")
def _quiet() -> Iterator[None]:
    """The troubles are meant; what is logged of them would fill the screen."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture(scope="package")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with an empty ledger, to begin with a copy of it."""
    path = tmp_path_factory.mktemp("ledger") / "hub.db"
    db = Database(f"sqlite:///{path}")
    db.migrate()
    db.close()
    return path


@pytest.fixture(scope="package")
def seen(tmp_path_factory: pytest.TempPathFactory, ledger: Path) -> Roads:
    """Which points each trouble's road crosses."""
    return survey(tmp_path_factory.mktemp("survey"), ledger)
