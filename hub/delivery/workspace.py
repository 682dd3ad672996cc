"""An open workspace: its configuration, ledger, archive and portals, as the rest of the delivery uses them."""

from __future__ import annotations

import datetime as dt
import hashlib
import os
import secrets
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from hub.config import Account, Config, load_config
from hub.config import Connection as ConnectionConfig
from hub.delivery import ledger, registry
from hub.delivery.arming import Arming
from hub.delivery.evidence import Archive, Scrubber
from hub.delivery.gate import Gate
from hub.delivery.passes import Passes
from hub.delivery.registry import Portal
from hub.delivery.slots import Locks, Slots, locks_beside
from hub.requirements.customers import Directory
from hub.requirements.extensions import load_extensions
from hub.requirements.mapping import Mapping, load_mapping
from hub.requirements.paths import Facts
from hub.requirements.rules import Rulebook, load_rules
from hub.sources.folder import Folder
from hub.store import tables as t
from hub.store.blobs import Blobs
from hub.store.database import Database

_WINDOWS = {"per_second": 1.0, "per_minute": 60.0, "per_hour": 3600.0, "per_day": 86400.0}

_UNKNOWN_PORTAL_SETTLES = dt.timedelta(hours=1)
_BY_HUB_YAML = "hub.yaml says `paused: true`"


def utc_now() -> dt.datetime:
    """The time, UTC."""
    return dt.datetime.now(dt.UTC)


@dataclass(frozen=True)
class Requirements:
    """What one account demands, compiled."""

    rules: Rulebook
    mapping: Mapping
    facts: Facts
    version: str  # of rules, mapping and the account's own facts together


@dataclass
class Workspace:
    """Everything that a pass over the invoices needs. Threads share it."""

    config: Config
    db: Database
    archive: Archive
    directory: Directory
    portals: dict[str, Portal]
    arming: Arming
    passes: Passes
    locks: Locks
    now: Callable[[], dt.datetime] = utc_now
    cancel: threading.Event = field(default_factory=threading.Event)
    owner: str = field(default_factory=lambda: f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(3)}")
    _requirements: dict[str, Requirements] = field(default_factory=dict)
    _seen: tuple[tuple[Path, int, int], ...] = ()

    @property
    def blobs(self) -> Blobs:
        """The archive's bytes."""
        return self.archive.blobs

    def portal(self, connection: str) -> Portal:
        """The connection called so; LookupError if hub.yaml has it no more."""
        try:
            return self.portals[connection]
        except KeyError:
            raise LookupError(f"hub.yaml has no connection {connection!r} any more; add it again") from None

    def settles_within(self, connection: str) -> dt.timedelta:
        """How long this portal's search may miss a new document; a long while if hub.yaml has it no more."""
        if connection not in self.portals:
            return _UNKNOWN_PORTAL_SETTLES
        return self.portal(connection).for_reading().capabilities.settles_within

    def account(self, key: str) -> Account:
        """The account called so; LookupError if hub.yaml has it no more."""
        try:
            return self.config.accounts[key]
        except KeyError:
            raise LookupError(f"hub.yaml has no account {key!r} any more; add it again") from None

    def requirements(self, account: str) -> Requirements:
        """Rules and mapping of an account, read once; raises SourceError with everything that is wrong with them."""
        if account not in self._requirements:
            self._requirements[account] = self._load_requirements(account)
        return self._requirements[account]

    def refresh(self) -> None:
        """Read rules and mappings anew if a file of theirs has changed since."""
        folders = (*self.config.rules_folders, *self.config.mappings_folders)
        files = sorted(path for folder in folders if folder.is_dir() for path in folder.rglob("*") if path.is_file())
        seen = tuple((path, path.stat().st_mtime_ns, path.stat().st_size) for path in files)
        if seen != self._seen:
            self._seen = seen
            self._requirements.clear()

    def _load_requirements(self, key: str) -> Requirements:
        account = self.account(key)
        portal = self.config.connections[account.connection].connector
        names = (portal, account.customer, account.entity)
        vocabulary = load_extensions(self.config.mappings_folders)
        rules = load_rules(self.config.rules_folders, *names, vocabulary=vocabulary)
        mapping = load_mapping(self.config.mappings_folders, *names)
        facts = Facts(
            portal_customer=account.portal_customer,
            time_zone=account.time_zone.key,
            account=account.identifiers,
            entity=self.config.entities[account.entity].identifiers,
            customer=self.config.customers[account.customer].identifiers,
        )
        deadline = (account.send_within, account.cut_off)
        version = hashlib.sha256(repr((rules.version, mapping.version, facts, deadline)).encode()).hexdigest()[:16]
        return Requirements(rules, mapping, facts, version)

    def close(self) -> None:
        """Give back what is open."""
        self.cancel.set()
        for portal in self.portals.values():
            portal.close()
        self.arming.leave()
        self.passes.close()
        self.locks.close()
        self.db.close()


def open_workspace(folder: Path, *, now: Callable[[], dt.datetime] = utc_now, state: Path | None = None) -> Workspace:
    """Open the workspace in `folder`, making or updating its database; raises SourceError or StoreError.

    `state`: where this machine's state files are kept, if not where the environment says.
    """
    config = load_config(folder, registry.settings_model)
    db = Database(config.database_url.get_secret_value())
    db.migrate()
    archive = Archive(Blobs(config.store), Scrubber(config.secrets()))
    cancel = threading.Event()
    passes, locks = Passes(db), locks_beside(db)
    portals = {
        key: Portal(
            key=key,
            connector=registry.connector_class(connection.connector),
            settings=connection.settings,
            gate=Gate(key, _limits(connection), passes, cancel),
            slots=Slots(key, locks, cancel),
            cap=connection.max_parallel,
            evidence=archive,
            attachments=archive.blobs,
            cancel=cancel,
        )
        for key, connection in config.connections.items()
    }
    arming = Arming(db, now, config.workspace, state)
    workspace = Workspace(config, db, archive, Directory(config), portals, arming, passes, locks, now, cancel)
    _enter(workspace)
    return workspace


def _limits(connection: ConnectionConfig) -> dict[float, int]:
    """How many requests may go in any window of so many seconds."""
    limits = ((seconds, getattr(connection.limits, name)) for name, seconds in _WINDOWS.items())
    return {seconds: limit for seconds, limit in limits if limit is not None}


def _taken_in(config: Config) -> Path | None:
    """A `done` folder with something in it: a ledger that is new beside it is not the first one here."""
    folders = (Folder(source.folder).done for source in config.sources.values())
    return next((folder for folder in folders if folder.is_dir() and any(folder.iterdir())), None)


def _enter(ws: Workspace) -> None:
    """See that the ledger knows itself and each connection and account of hub.yaml, and which of them it pauses."""
    at = ws.now()
    with ws.db.writing("workspace.enter") as tx:
        if not ws.db.is_sqlite:
            tx.execute(sa.text("LOCK TABLE instance IN SHARE ROW EXCLUSIVE MODE"))  # two may start at once
        ws.arming.enter(tx, taken_in=_taken_in(ws.config))
        insert = postgresql.insert if tx.dialect.name == "postgresql" else sqlite.insert
        for table, configured in ((t.connection, ws.config.connections), (t.account, ws.config.accounts)):
            for key, entry in configured.items():
                tx.execute(insert(table).values(key=key).on_conflict_do_nothing())
                if entry.paused:
                    ledger.pause(tx, table, key, at=at, actor="hub.yaml", why=_BY_HUB_YAML)
                elif tx.execute(sa.select(table.c.paused_why).where(table.c.key == key)).scalar_one() == _BY_HUB_YAML:
                    ledger.resume(tx, table, key, at=at, actor="hub.yaml", why="hub.yaml no longer pauses it")
