"""Is this machine, this workspace and its configuration fit to run? Every answer that is no comes with its remedy."""

from __future__ import annotations

import contextlib
import importlib
import os
import shlex
import shutil
import sqlite3
import sys
import time
import zoneinfo
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from hub.config import Config, load_config
from hub.delivery.arming import Arming
from hub.delivery.registry import settings_model
from hub.delivery.workspace import utc_now
from hub.durable import write_whole
from hub.hubfile import FILE
from hub.store import tables as t
from hub.store.database import Database, StoreError
from hub.yamlsource import SourceError

PYTHON = (3, 11)
SQLITE = (3, 35)  # the first with RETURNING
FREE_BYTES = 1_000_000_000
CLOCK_SECONDS = 60  # how far a file's time may lie ahead of the clock
DATABASE_SECONDS = 5
# Each dependency of pyproject.toml and the module that it is used by.
PACKAGES = {
    "alembic": "alembic",
    "apscheduler": "apscheduler",
    "click": "click",
    "fastapi": "fastapi",
    "google-re2": "re2",
    "jinja2": "jinja2",
    "lxml": "lxml.etree",
    "psycopg": "psycopg",
    "pydantic": "pydantic",
    "pypdf": "pypdf",
    "pyyaml": "yaml",
    "requests": "requests",
    "rich": "rich",
    "sqlalchemy": "sqlalchemy",
    "tenacity": "tenacity",
    "tzdata": "tzdata",
    "uvicorn": "uvicorn",
}


@dataclass(frozen=True)
class Check:
    """One thing that was looked at. `ok` is None where it could not be told."""

    name: str
    ok: bool | None
    says: str
    fix: str = ""


def examine(workspace: Path | None) -> tuple[Check, ...]:
    """Look at this machine, and at a workspace if one is named; reads, and writes only files that it removes again."""
    machine = (_python(), _packages(), _sqlite(), _time_zones())
    if workspace is None:
        return machine
    if not workspace.is_dir():
        return (*machine, _bad("workspace", f"{workspace} is no folder", f"hub init {_quoted(workspace)}"))
    configuration, config = _configuration(workspace)
    checks = [*machine, _disk_space(workspace), _files(workspace), _clock(workspace), configuration]
    if config:
        database = _database(config)
        checks += [database, *([_armed(workspace, config)] if database.ok else []), *_folders(config)]
    return tuple(checks)


def _judged(name: str, says: str, *, ok: bool, fix: str) -> Check:
    return Check(name, ok, says, "" if ok else fix)


def _good(name: str, says: str) -> Check:
    return _judged(name, says, ok=True, fix="")


def _bad(name: str, says: str, fix: str) -> Check:
    return _judged(name, says, ok=False, fix=fix)


def _python() -> Check:
    wanted = ".".join(map(str, PYTHON))
    return _judged(
        "Python",
        f"{sys.version.split()[0]} at {sys.executable}",
        ok=sys.version_info[:2] >= PYTHON,
        fix=f"install Python {wanted} or newer, then: make clean setup PYTHON=python{wanted}",
    )


def _packages() -> Check:
    broken = {}
    for package, module in PACKAGES.items():
        try:
            importlib.import_module(module)
        except Exception as error:  # noqa: BLE001 - a broken package may raise anything when it is imported
            broken[package] = f"{package} ({type(error).__name__}: {error})"
    says = f"cannot be imported: {', '.join(broken.values())}" if broken else f"all {len(PACKAGES)} can be imported"
    return _judged("packages", says, ok=not broken, fix="make clean setup")


def _sqlite() -> Check:
    wanted = ".".join(map(str, SQLITE))
    return _judged(
        "SQLite",
        f"version {sqlite3.sqlite_version}; {wanted} or newer is needed",
        ok=sqlite3.sqlite_version_info >= SQLITE,
        fix=f"use a Python that is built with SQLite {wanted} or newer, or a PostgreSQL database (hub.yaml, database)",
    )


def _time_zones() -> Check:
    try:
        zoneinfo.ZoneInfo("Europe/Berlin")
    except (zoneinfo.ZoneInfoNotFoundError, OSError) as error:
        return _bad("time zones", f"no time zone data: {error}", "make clean setup (it installs tzdata)")
    return _good("time zones", f"{len(zoneinfo.available_timezones())} are known")


def _disk_space(workspace: Path) -> Check:
    free = shutil.disk_usage(workspace).free
    return _judged(
        "disk space",
        f"{free / 1e9:,.1f} GB free at {workspace}; {FREE_BYTES / 1e9:,.0f} GB are wanted",
        ok=free >= FREE_BYTES,
        fix=f"delete what is not needed, or give the disk of {workspace} more room: df -h {_quoted(workspace)}",
    )


def _files(workspace: Path) -> Check:
    """Whether a file can be written durably: created, fsynced, renamed and read back."""
    try:
        with _probe(workspace, "doctor") as probe:
            write_whole(probe, b"durable")
            same = probe.read_bytes() == b"durable"
    except PermissionError as error:
        fix = f"let the user who runs the hub read and write there: chmod u+rwx {_quoted(workspace)}"
        return _bad("workspace", f"{error.filename or workspace}: {error.strerror}", fix)
    except OSError as error:
        fix = f"put the workspace on a local disk with free space; the one of {workspace} cannot take it"
        return _bad("workspace", f"nothing can be written durably in {workspace}: {error.strerror}", fix)
    fix = f"put the workspace on a local disk; the one of {workspace} does not keep what is written"
    return _judged("workspace", f"{workspace} can be read and written durably (fsync, rename)", ok=same, fix=fix)


def _clock(workspace: Path) -> Check:
    """The clock against file times: a file from the future says that the clock is behind."""
    try:
        with _probe(workspace, "clock") as probe:
            probe.touch()
            files = [path for path in (probe, workspace / FILE, Path(__file__)) if path.exists()]
            ahead, newest = max((path.stat().st_mtime - time.time(), path) for path in files)
    except OSError as error:
        return Check(name="clock", ok=None, says=f"cannot be told without writing in {workspace}: {error.strerror}")
    said = "a file just written" if newest == probe else str(newest)
    says = f"{said} is {ahead:,.0f} s ahead of the clock" if ahead > CLOCK_SECONDS else "agrees with the times of files"
    fix = "set the clock by the network: timedatectl set-ntp true"
    return _judged("clock", says, ok=ahead <= CLOCK_SECONDS, fix=fix)


def _configuration(workspace: Path) -> tuple[Check, Config | None]:
    try:
        config = load_config(workspace, settings_model)
    except SourceError as error:
        told = f"hub init {_quoted(workspace)}" if not (workspace / FILE).exists() else "mend each place that is named"
        return _bad("configuration", str(error), told), None
    counts = (
        f"{len(config.accounts)} accounts, {len(config.customers)} customers, {len(config.connections)} connections"
    )
    return _good("configuration", f"{workspace / FILE} is sound: {counts}; every secret resolves"), config


def _database(config: Config) -> Check:
    url = make_url(config.database_url.get_secret_value())
    place = config.place_of(("database",))
    if url.get_backend_name() == "sqlite":
        return _sqlite_file(Path(url.database or ""), f"{place.file}:{place.line}")
    engine = sa.create_engine(url, connect_args={"connect_timeout": DATABASE_SECONDS})
    try:
        with engine.connect() as connection:
            version = connection.scalar(sa.text("show server_version"))
    except SQLAlchemyError as error:
        told = str(getattr(error, "orig", None) or error).strip()
        for secret in config.secrets():
            told = told.replace(secret, "[secret]")
        fix = f"start the PostgreSQL server, or correct the address at {place.file}:{place.line}"
        return _bad("database", f"cannot be reached: {told}", fix)
    finally:
        engine.dispose()
    return _good("database", f"PostgreSQL {version} answers")


def _sqlite_file(file: Path, place: str) -> Check:
    """A trial beside the database, on its file system, and a plain look into the database itself."""
    try:
        with _probe(file.parent, "sqlite") as probe, contextlib.closing(sqlite3.connect(probe)) as trial:
            mode = trial.execute("pragma journal_mode=wal").fetchone()[0]
            trial.execute("create table t (a)")
            trial.execute("insert into t values (1) returning a").fetchall()
    except (sqlite3.Error, OSError) as error:
        return _bad("database", f"SQLite cannot write in {file.parent}: {error}", f"correct the path at {place}")
    if mode != "wal":
        fix = f"put the database on a local disk ({place}): network disks cannot share memory"
        return _bad("database", f"the file system of {file.parent} does not allow SQLite's WAL mode", fix)
    if not file.exists():
        return _good("database", f"{file} is made at the first run; its folder allows WAL")
    try:
        with contextlib.closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as connection:
            connection.execute("select count(*) from sqlite_master").fetchone()
    except sqlite3.Error as error:
        return _bad("database", f"{file} cannot be read: {error}", "restore it from a backup, or correct its rights")
    return _good("database", f"{file} can be read; its folder allows WAL")


def _armed(workspace: Path, config: Config) -> Check:
    """Whether the ledger may send from here."""
    db = Database(config.database_url.get_secret_value())
    if db.is_sqlite and not Path(str(db.url.database)).exists():
        return _good("armed", "a new workspace is armed when it is first used")
    fix = f"hub -w {_quoted(workspace)} arm"
    try:
        with db.reading() as tx:
            verdict = Arming(db, utc_now, workspace).judge(tx)
            stopped = tx.execute(sa.select(t.instance.c.disarmed_why).where(t.instance.c.armed.is_(False))).scalar()
    except (StoreError, SQLAlchemyError):
        return Check("armed", ok=None, says="the ledger is not brought up to this version yet; any command does that")
    finally:
        db.close()
    why = stopped or verdict.ledger or verdict.here
    return _judged("armed", why or "what is ready is sent from here", ok=why is None, fix=fix)


def _folders(config: Config) -> Iterator[Check]:
    for key, source in config.sources.items():
        name, folder = f"folder {key}", source.folder
        if not folder.is_dir():
            yield _bad(name, f"{folder} is no folder", f"mkdir -p {_quoted(folder)}")
            continue
        usable = os.access(folder, os.R_OK | os.W_OK | os.X_OK)  # no trial file: it might be taken for an invoice
        says = f"{folder} can {'' if usable else 'not '}be read and written"
        yield _judged(name, says, ok=usable, fix=f"chmod u+rwx {_quoted(folder)}")


@contextlib.contextmanager
def _probe(folder: Path, name: str) -> Iterator[Path]:
    """A name for a trial file; whatever was made under it is removed again."""
    path = folder / f".hub-{name}-{os.getpid()}-{time.monotonic_ns()}"
    try:
        yield path
    finally:
        for suffix in ("", "-wal", "-shm", "-journal"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))
