"""The configuration of a workspace: one hub.yaml, the customer list beside it, and every fault of both at its line."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import hashlib
import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from zoneinfo import ZoneInfo

from pydantic import BaseModel, SecretStr
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from hub import secretrefs
from hub.customers_csv import CustomerList, read_customers_csv
from hub.hubfile import FILE, AccountEntry, Customer, Entity, HubFile, Limits, ListFile, Web
from hub.identifiers import Identity, identity
from hub.schedule import Schedule
from hub.timetable import schedules
from hub.yamlsource import MAX_PROBLEMS, Path_, Place, Problem, Source, SourceError, did_you_mean, load, validate

PROJECT = Path(__file__).resolve().parent.parent
_SECRET_OPTIONS = ("password", "sslpassword")  # of libpq, 34.1.2 "Parameter Key Words"
SettingsModel = Callable[[str], type[BaseModel]]
"""The settings class of the connector with this name; raises LookupError, whose text names the known ones."""


@dataclass(frozen=True)
class Connection:
    """One login at one portal."""

    key: str
    connector: str
    settings: BaseModel  # of the connector's own class; secrets are resolved and masked
    limits: Limits
    polls_per_hour: int | None  # of these, at most so many for statuses
    submitting: Schedule  # when invoices may be sent
    polling: Schedule  # when the portal may be asked; `every` is the shortest interval
    max_parallel: int | None  # a cap below what the connector allows
    paused: bool

    @property
    def poll_every(self) -> dt.timedelta:
        """The shortest time between two polls of the same customer."""
        return self.polling.every

    @property
    def submit_every(self) -> dt.timedelta:
        """How often it is looked for what may be sent."""
        return self.submitting.every


@dataclass(frozen=True)
class Account:
    """One entity at one customer through one connection, known by their keys."""

    key: str
    entity: str
    customer: str
    connection: str
    portal_customer: str | None  # the portal's id of the customer
    time_zone: ZoneInfo
    identifiers: Mapping[str, str]  # whatever the mapping needs
    paused: bool
    send_within: dt.timedelta | None = None  # after its date an invoice may be sent so long
    cut_off: int | None = None  # and until the next such day of a month


@dataclass(frozen=True)
class WatchedFolder:
    """A folder that invoices are put into, and how often it is looked at."""

    folder: Path
    every: dt.timedelta


@dataclass(frozen=True, kw_only=True)
class Config:
    """A workspace as hub.yaml and its customer list describe it; all paths are absolute, no secret is in its repr."""

    workspace: Path
    database_url: SecretStr  # as SQLAlchemy reads it
    store: Path
    rules_folders: tuple[Path, ...]  # the project's first, the workspace's second
    mappings_folders: tuple[Path, ...]  # the same
    time_zone: ZoneInfo
    web: Web
    entities: Mapping[str, Entity]
    customers: Mapping[str, Customer]
    connections: Mapping[str, Connection]
    accounts: Mapping[str, Account]
    sources: Mapping[str, WatchedFolder]
    customers_file: Path  # need not exist; `hub customers import` writes it
    written: HubFile = field(repr=False)
    _source: Source = field(repr=False)
    listed: CustomerList | None = field(repr=False)
    _secrets: tuple[SecretStr, ...] = field(repr=False)

    @cached_property
    def version(self) -> str:
        """A hash over all that routes an invoice: the companies, the accounts and their connections' connectors."""
        connectors = {key: connection.connector for key, connection in self.connections.items()}
        said = repr((self.entities, self.customers, self.accounts, connectors, self.time_zone))
        return hashlib.sha256(said.encode()).hexdigest()[:16]

    def secrets(self) -> tuple[str, ...]:
        """Every secret in clear text, the longest first, for scrubbing what is written."""
        return tuple(sorted({secret.get_secret_value() for secret in self._secrets}, key=lambda s: (-len(s), s)))

    def place_of(self, path: Path_) -> Place:
        """Where a part was written, as in ("accounts", "north", "entity"): in hub.yaml or in the customer list."""
        if self.listed and len(path) > 1 and path[1] in self.listed.source.data.get(path[0], ()):
            return self.listed.source.place(path)
        return self._source.place(path)

    def with_customers(self, listed: CustomerList | None) -> Config:
        """The same with another customer list; raises SourceError with all that does not fit together."""
        customers, accounts = self.written.customers, self.written.accounts
        problems: list[Problem] = []
        if listed:
            rows = _rows(listed)
            problems += _in_both("customers", customers, rows.customers, self._source, listed)
            problems += _in_both("accounts", accounts, rows.accounts, self._source, listed)
            customers, accounts = rows.customers | customers, rows.accounts | accounts
        whole = dataclasses.replace(
            self,
            customers=customers,
            accounts={key: _account(key, entry, self.time_zone) for key, entry in accounts.items()},
            listed=listed,
        )
        misfits = list(itertools.islice(_misfits(whole), MAX_PROBLEMS))
        problems += [listed.named(p) if listed and p.place.file == listed.source.name else p for p in misfits]
        if problems:
            raise SourceError(problems)
        return whole


def load_config(workspace: Path, settings_model: SettingsModel) -> Config:
    """Read a workspace's configuration; raises SourceError with every fault at its place, never with a secret."""
    path = workspace / FILE
    if not path.exists():
        told = f"there is no {FILE} in {workspace}; make a workspace with: hub init {workspace}"
        raise SourceError([Problem(Place(str(path), 1, 1), told)])
    source = load(path)
    file = validate(source, HubFile)
    problems: list[Problem] = []
    secrets: list[str] = []
    home = workspace.resolve()
    config = Config(
        workspace=home,
        database_url=SecretStr(_database(file.database, source, home, problems, secrets)),
        store=home / file.store,
        rules_folders=_folders("rules", file, source, home, problems),
        mappings_folders=_folders("mappings", file, source, home, problems),
        time_zone=file.time_zone,
        web=file.web,
        entities=file.entities,
        customers={},
        connections=_connections(file, source, settings_model, home, problems, secrets),
        accounts={},
        sources={key: WatchedFolder(home / entry.folder, entry.every) for key, entry in file.sources.items()},
        customers_file=home / file.customers_file,
        written=file,
        _source=source,
        listed=None,
        _secrets=tuple(map(SecretStr, secrets)),
    )
    with _collected(problems):
        config = config.with_customers(_listed(config, str(workspace / file.customers_file)))
    if problems:
        raise SourceError(problems)
    return config


@contextlib.contextmanager
def _collected(problems: list[Problem]) -> Iterator[None]:
    """Gather what a step finds wrong, so that the next can be taken all the same."""
    try:
        yield
    except SourceError as error:
        problems += error.problems


def _database(written: str, source: Source, workspace: Path, problems: list[Problem], secrets: list[str]) -> str:
    """The URL for SQLAlchemy of a file name, a PostgreSQL URL, or a reference to one of them."""
    said, complaint = written, ""
    if secretrefs.is_reference(written):
        try:
            said = secretrefs.resolve(written, workspace)
            secrets.append(said)
        except secretrefs.Unresolved as unresolved:
            problems.append(Problem(source.place(("database",)), f"database: {unresolved}"))
    if "://" not in said:
        return _text(URL.create("sqlite+pysqlite", database=str(workspace / said)))
    try:
        url = make_url(said)
    except (ArgumentError, ValueError):  # neither the URL nor the exception is told: both may hold the password
        url = URL.create("unreadable")
    if url.drivername not in ("postgresql", "postgres", "postgresql+psycopg"):
        complaint = "is no file name for SQLite and no PostgreSQL URL, as in postgresql://USER@HOST/NAME"
    hidden = [str(word) for word in (url.password, *map(url.query.get, _SECRET_OPTIONS)) if word]
    if hidden and said == written:
        complaint = "a password stands in clear text here; write the whole URL as env:NAME or file:PATH"
    elif any(len(word) < secretrefs.SHORTEST for word in hidden):
        complaint = f"the password is shorter than {secretrefs.SHORTEST} characters; give the database a longer one"
    if complaint:
        problems.append(Problem(source.place(("database",)), f"database: {complaint}"))
    text = _text(url.set(drivername="postgresql+psycopg"))
    secrets += [text, *hidden] if hidden else []
    return text


def _text(url: URL) -> str:
    return url.render_as_string(hide_password=False)


def _folders(word: str, file: HubFile, source: Source, workspace: Path, problems: list[Problem]) -> tuple[Path, ...]:
    own = workspace / str(getattr(file, word))
    if word in file.model_fields_set and not own.is_dir():
        told = f"{word}: the folder {own} does not exist; make it, or delete this key"
        problems.append(Problem(source.place((word,)), told))
    return tuple(dict.fromkeys((PROJECT / word, own)))


def _connections(
    file: HubFile,
    source: Source,
    settings_model: SettingsModel,
    workspace: Path,
    problems: list[Problem],
    secrets: list[str],
) -> dict[str, Connection]:
    connections = {}
    for key, entry in file.connections.items():
        at = ("connections", key)
        try:
            model = settings_model(entry.connector)
        except LookupError as error:
            told = f"connections.{key}.connector: {error.args[0] if error.args else entry.connector}"
            problems.append(Problem(source.place((*at, "connector")), told))
            continue
        with _collected(problems):
            made, found = secretrefs.settings(model, entry.settings, source, (*at, "settings"), workspace)
            secrets += found
            submitting, polling = schedules(key, entry, file.time_zone, source, workspace)
            connections[key] = Connection(
                key=key,
                connector=entry.connector,
                settings=made,
                limits=entry.limits,
                polls_per_hour=entry.polls_per_hour,
                submitting=submitting,
                polling=polling,
                max_parallel=entry.max_parallel,
                paused=entry.paused,
            )
    return connections


def _account(key: str, entry: AccountEntry, zone: ZoneInfo) -> Account:
    return Account(key=key, **{**dict(entry), "time_zone": entry.time_zone or zone})


def _listed(config: Config, name: str) -> CustomerList | None:
    if config.customers_file.exists():
        return read_customers_csv(config.customers_file, name=name)
    if "customers_file" in config.written.model_fields_set:
        told = f"customers_file: {config.customers_file} does not exist; delete this key, or make it: customer,name"
        raise SourceError([Problem(config.place_of(("customers_file",)), told)])
    return None


def _rows(listed: CustomerList) -> ListFile:
    try:
        return validate(listed.source, ListFile)
    except SourceError as error:
        raise SourceError(map(listed.named, error.problems)) from None


def _in_both(
    part: str, here: Mapping[str, object], there: Mapping[str, object], source: Source, listed: CustomerList
) -> Iterator[Problem]:
    for key in here.keys() & there.keys():
        first = source.place((part, key))
        told = f"{part}.{key} stands in {first.file}:{first.line} too; keep one of them"
        yield listed.named(Problem(listed.source.place((part, key)), told))


def _misfits(config: Config) -> Iterator[Problem]:
    """Accounts that name what is not there, and identifiers that two companies share."""
    for key, account in config.accounts.items():
        named = {
            "entity": (account.entity, config.entities, "entities"),
            "customer": (account.customer, config.customers, "customers"),
            "connection": (account.connection, config.written.connections, "connections"),
        }
        for field_, (value, known, part) in named.items():
            if value not in known:
                hint = did_you_mean(value, known) if known else f"; add it under {part}"
                at = config.place_of(("accounts", key, field_))
                yield Problem(at, f"accounts.{key}.{field_}: there is no {field_} {value!r}{hint}")
    yield from _shared("entities", config.entities, config)
    yield from _shared("customers", config.customers, config)


def _shared(part: str, companies: Mapping[str, Entity | Customer], config: Config) -> Iterator[Problem]:
    holders: dict[Identity, tuple[str, Path_]] = {}
    for key, company in companies.items():
        for scheme, value in company.identifiers.items():
            path = (part, key, "identifiers", scheme)
            holder, first = holders.setdefault(identity(scheme, value), (key, path))
            if holder != key:
                told = f"{'.'.join(path)}: {value!r} is {holder!r}'s too ({config.place_of(first)})"
                yield Problem(config.place_of(path), f"{told}; an identifier stands for one only: keep it at one")
