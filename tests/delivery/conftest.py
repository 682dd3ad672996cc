"""Workspaces with portals in memory, on each of the databases."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from delivery_house import House
from portal_in_memory import PORTALS, Scripted
from sqlalchemy.engine import URL

from hub.delivery import registry
from hub.store.database import Database


@pytest.fixture(autouse=True, scope="session")
def _compile_once() -> Iterator[None]:
    """Each workspace has an engine of its own; they share what SQLAlchemy has compiled, which halves the run."""
    create, first = sa.create_engine, {}

    def create_engine(url: URL, **settings: Any) -> sa.Engine:
        engine = create(url, **settings)
        like = first.setdefault(engine.dialect.name, engine)
        engine.dialect, engine._compiled_cache = like.dialect, like._compiled_cache
        return engine

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sa, "create_engine", create_engine)
        yield


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> None:
    """hub.yaml may name the connector `scripted`."""
    known = registry.connector_class
    monkeypatch.setattr(registry, "connector_class", lambda name: Scripted if name == "scripted" else known(name))


@pytest.fixture(scope="session")
def empty_ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with an empty ledger, to begin with a copy of it."""
    path = tmp_path_factory.mktemp("ledger") / "hub.db"
    db = Database(f"sqlite:///{path}")
    db.migrate()
    db.close()
    return path


@contextlib.contextmanager
def _house(folder: Path, database: str) -> Iterator[House]:
    PORTALS.clear()
    house = House(folder, database)
    yield house
    for ws in house.opened:
        ws.close()


@pytest.fixture
def sqlite(tmp_path: Path, scripted: None, empty_ledger: Path) -> Iterator[House]:  # noqa: ARG001
    """A workspace on SQLite."""
    (tmp_path / "ws").mkdir()
    shutil.copy(empty_ledger, tmp_path / "ws" / "hub.db")
    with _house(tmp_path / "ws", "hub.db") as house:
        yield house


@pytest.fixture
def postgresql_house(tmp_path: Path, scripted: None, postgresql: str) -> Iterator[House]:  # noqa: ARG001
    """A workspace on PostgreSQL."""
    with _house(tmp_path / "ws", postgresql.replace("postgresql+psycopg://", "postgresql://")) as house:
        yield house


@pytest.fixture
def house(request: pytest.FixtureRequest) -> House:
    """A workspace on SQLite, and where a test says ON_BOTH on PostgreSQL too."""
    made: House = request.getfixturevalue(getattr(request, "param", "sqlite"))
    return made


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Of each kind of database, one without a row; SQLite's is not made yet."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'hub.db'}"
    made: str = request.getfixturevalue("postgresql")
    return made
