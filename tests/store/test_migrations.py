from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from hub.store import database
from hub.store import tables as t
from hub.store.database import Database, StoreError


@pytest.fixture(params=["sqlite", "postgresql"])
def db(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A database of its own, brought from nothing to this version."""
    is_sqlite = request.param == "sqlite"
    url = f"sqlite:///{tmp_path / 'hub.db'}" if is_sqlite else request.getfixturevalue("postgresql_server").empty()
    made = Database(url)
    made.migrate()
    yield made
    made.close()


def differences(db: Database) -> list[object]:
    with db.reading() as tx:
        return list(compare_metadata(MigrationContext.configure(tx), t.metadata))


def test_the_migrations_make_the_tables_that_the_program_uses(db: Database) -> None:
    """From empty to this version: not a column, index or constraint is different."""
    assert [] == differences(db)


def test_a_difference_would_be_seen(db: Database) -> None:
    """The comparison that the test above relies on finds what is missing and what is too much."""
    with db.writing("test") as tx:
        tx.exec_driver_sql("DROP INDEX ix_submission_payload_id")
        tx.exec_driver_sql("ALTER TABLE task ADD COLUMN colour TEXT")
    assert {"add_index", "remove_column"} == {difference[0] for difference in differences(db)}  # type: ignore[index]


def test_migrating_again_changes_nothing(db: Database) -> None:
    """What is at this version already is left as it is, rows and all."""
    with db.writing("test") as tx:
        tx.execute(t.connection.insert().values(key="acme"))
    db.migrate()
    with db.reading() as tx:
        assert ["acme"] == list(tx.scalars(sa.select(t.connection.c.key)))
        assert ["0002"] == list(tx.scalars(sa.text("SELECT version_num FROM alembic_version")))


def test_two_that_start_at_once_migrate_once(tmp_path: Path, postgresql_server: Any) -> None:
    """The second waits for the first and finds its work done, on an empty database of either kind."""
    for url in (f"sqlite:///{tmp_path / 'hub.db'}", postgresql_server.empty()):
        both = [Database(url) for _ in range(2)]
        with ThreadPoolExecutor(2) as pool:
            assert [None, None] == list(pool.map(Database.migrate, both))
        assert [] == differences(both[0])
        for db in both:
            db.close()


def test_a_database_of_a_newer_version_is_refused(db: Database) -> None:
    """It says so, names what to do, and nothing is changed."""
    with db.writing("test") as tx:
        tx.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(StoreError, match=r"made by a newer version of the hub \(revision 9999\); update the hub"):
        db.migrate()
    with db.reading() as tx:
        assert ["9999"] == list(tx.scalars(sa.text("SELECT version_num FROM alembic_version")))


def test_a_failed_migration_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every table or none, on SQLite too."""
    real = database.command.upgrade

    def fails(*args: object) -> None:
        real(*args)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    db = Database(f"sqlite:///{tmp_path / 'hub.db'}")
    with monkeypatch.context() as patch:
        patch.setattr(database.command, "upgrade", fails)
        with pytest.raises(KeyboardInterrupt):
            db.migrate()
    assert [] == sa.inspect(db.engine).get_table_names()
    db.migrate()
    assert [] == differences(db)
    db.close()
