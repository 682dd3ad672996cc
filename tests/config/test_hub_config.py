from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from hub.config import PROJECT, Account, Config, WatchedFolder, load_config
from hub.contract.connector import Settings
from hub.hubfile import json_schema
from hub.yamlsource import Place, SourceError

Loaded = Callable[..., Config]
Faults = Callable[..., list[str]]

WHOLE = """\
time_zone: Europe/Berlin
web: {host: localhost, port: 9000}
entities:
  ridgeline-us:
    name: Ridgeline Supply Inc.
    identifiers: {tax: 84-5550101}
customers:
  cascadia:
    name: Cascadia Energy
    identifiers: {duns: 080555501}
    corrections_after_rejection: no
    owner:
connections:
  paper:
    connector: manual
    limits: {per_second: 2, per_day: 5000}
    poll_every: 15m
    max_parallel: 1
accounts:
  us-cascadia:
    entity: ridgeline-us
    customer: cascadia
    connection: paper
    portal_customer: 0042
    identifiers: {site: 07}
  us-cascadia-chicago:
    entity: ridgeline-us
    customer: cascadia
    connection: paper
    time_zone: America/Chicago
    paused: yes
sources:
  scans: {folder: in/scans, every: 1m}
"""


def test_a_whole_file_is_read_as_it_is_meant(loaded: Loaded, tmp_path: Path) -> None:
    """Every key arrives typed, with the workspace's defaults where nothing is said."""
    config = loaded(WHOLE)
    account = Account(
        key="us-cascadia",
        entity="ridgeline-us",
        customer="cascadia",
        connection="paper",
        portal_customer="0042",
        time_zone=ZoneInfo("Europe/Berlin"),
        identifiers={"site": "07"},
        paused=False,
    )
    assert account == config.accounts["us-cascadia"]
    assert (ZoneInfo("America/Chicago"), True) == (
        config.accounts["us-cascadia-chicago"].time_zone,
        config.accounts["us-cascadia-chicago"].paused,
    )
    assert config.entities["ridgeline-us"].identifiers == {"tax": "84-5550101"}
    customer = config.customers["cascadia"]
    assert (
        customer.identifiers["duns"],
        customer.corrections_after_rejection,
        customer.owner,
    ) == ("080555501", False, None)
    connection = config.connections["paper"]
    assert ("manual", 2, None, dt.timedelta(minutes=15), dt.timedelta(seconds=5), 1) == (
        connection.connector,
        connection.limits.per_second,
        connection.limits.per_hour,
        connection.poll_every,
        connection.submit_every,
        connection.max_parallel,
    )
    assert {"scans": WatchedFolder(tmp_path / "in/scans", dt.timedelta(minutes=1))} == config.sources
    assert (config.web.host, config.web.port) == ("localhost", 9000)


def test_an_empty_file_is_a_workspace_of_defaults(loaded: Loaded, tmp_path: Path) -> None:
    """Nothing has to be written; the project's own rules and mappings lie under the workspace's."""
    config = loaded("")
    assert f"sqlite+pysqlite:///{tmp_path}/hub.db" == config.database_url.get_secret_value()
    assert (tmp_path, tmp_path / "store", ZoneInfo("UTC")) == (config.workspace, config.store, config.time_zone)
    assert (PROJECT / "rules", tmp_path / "rules") == config.rules_folders
    assert (PROJECT / "mappings", tmp_path / "mappings") == config.mappings_folders
    assert {"inbox": WatchedFolder(tmp_path / "inbox", dt.timedelta(seconds=10))} == config.sources
    assert (config.web.host, config.web.port, config.accounts, config.secrets()) == ("127.0.0.1", 8321, {}, ())


def test_the_project_is_where_its_rules_are() -> None:
    """The project's root is the folder that holds the package."""
    assert (PROJECT / "hub" / "config.py").is_file()


def test_a_folder_without_hub_yaml_says_how_to_make_one(tmp_path: Path) -> None:
    """The next step stands in the error."""
    with pytest.raises(SourceError, match=r"there is no hub.yaml in .*; make a workspace with: hub init "):
        load_config(tmp_path / "nowhere", lambda _: Settings)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("entitys: {}", "hub.yaml:1:1: unknown key 'entitys'; did you mean 'entities'?"),
        ("identifiers: {}", "hub.yaml:1:1: unknown key 'identifiers'"),
        (
            "web:\n  prot: 80",
            "hub.yaml:2:3: unknown key 'prot'; did you mean 'port'?",
        ),
        (
            "accounts:\n  a:\n    entity: e\n    customer: c\n    connection: x\n    portal_custmer: 1",
            "hub.yaml:6:5: unknown key 'portal_custmer'; did you mean 'portal_customer'?",
        ),
        ("customers:\n  a: {owner: me}", "hub.yaml:2:3: customers.a: the key 'name' is missing"),
        ("customers:\n  a: {name: }", "hub.yaml:2:7: customers.a.name: has no value, but needs one"),
        ("customers:\n  a:", "hub.yaml:2:3: customers.a: has no value, but needs one"),
        ("customers: [a]", "hub.yaml:1:1: customers: keys with values are expected here"),
        (
            "entities:\n  Big Co: {name: x}",
            "hub.yaml:2:3: entities.Big Co: 'Big Co' cannot be a key; use small letters, digits, - and _",
        ),
        (
            "time_zone: Europe/Berln",
            (
                "hub.yaml:1:1: time_zone: 'Europe/Berln' is no IANA time zone, as in Europe/Berlin; "
                "did you mean 'Europe/Berlin'?"
            ),
        ),
        ("time_zone: ../../etc/passwd", "hub.yaml:1:1: time_zone: '../../etc/passwd' is no IANA time zone"),
        ("time_zone: America", "hub.yaml:1:1: time_zone: 'America' is no IANA time zone"),
        (
            "web: {host: 0.0.0.0}",
            (
                "hub.yaml:1:7: web.host: this version serves its pages to this machine only; write 127.0.0.1, ::1 or "
                "localhost (it says '0.0.0.0')"
            ),
        ),
        ("web: {host: example.org}", "hub.yaml:1:7: web.host: this version serves its pages to this machine only"),
        ("web: {port: 0}", "hub.yaml:1:7: web.port: input should be greater than or equal to 1 (it says '0')"),
        (
            "sources:\n  inbox: {folder: x, every: soon}",
            "hub.yaml:2:22: sources.inbox.every: 'soon' is no duration; write a number and s, m, h or d, as in 15m",
        ),
        ("sources: {inbox: {folder: x, every: 0s}}", "hub.yaml:1:30: sources.inbox.every: must be longer than nothing"),
        (
            "connections:\n  x: {connector: manual, limits: {per_second: -1}}",
            "hub.yaml:2:35: connections.x.limits.per_second: input should be greater than 0 (it says '-1')",
        ),
        (
            "connections:\n  x: {connector: manuel}",
            "hub.yaml:2:7: connections.x.connector: there is no connector 'manuel'; known are cloud, manual",
        ),
        (
            "connections:\n  x:\n    connector: manual\n    settings: {speed: 1}",
            "hub.yaml:4:16: unknown key 'speed'",
        ),
        (
            "customers:\n  a: {name: A, identifiers: {vat: }}",
            "hub.yaml:2:30: customers.a.identifiers.vat: has no value, but needs one",
        ),
        (
            "customers:\n  a: {name: A, identifiers: {vat: '-'}}",
            "hub.yaml:2:30: customers.a.identifiers.vat: is no identifier; write its letters and digits",
        ),
        ("rules: playbook", "hub.yaml:1:1: rules: the folder "),
        ("customers_file: list.csv", "hub.yaml:1:1: customers_file: "),
        ("database: mysql://h/db", "hub.yaml:1:1: database: is no file name for SQLite and no PostgreSQL URL"),
        (
            "database: postgresql://h:port/db",
            "hub.yaml:1:1: database: is no file name for SQLite and no PostgreSQL URL",
        ),
    ],
)
def test_a_fault_is_told_at_its_line_with_the_next_step(faults: Faults, text: str, expected: str) -> None:
    """Each kind of fault once."""
    [told] = faults(text)
    assert told.startswith(expected)


def test_all_faults_come_at_once(faults: Faults) -> None:
    """Nobody mends a file line by line."""
    assert [told[:62].rstrip() for told in faults("datebase: x\nweb: {prt: 1, host: 127.0.0.1}")] == [
        "hub.yaml:1:1: unknown key 'datebase'; did you mean 'database'?",
        "hub.yaml:2:7: unknown key 'prt'; did you mean 'port'?",
    ]
    assert len(faults("rules: nowhere\nconnections: {x: {connector: y}}\naccounts: {}\ndatabase: mysql://h/db")) == 3


def test_an_account_names_what_there_is(faults: Faults) -> None:
    """Entity, customer and connection of an account are known, or the nearest is offered."""
    text = WHOLE.replace("entity: ridgeline-us", "entity: ridgline-us", 1).replace(
        "connection: paper\n    time", "connection: papr\n    time"
    )
    assert faults(text) == [
        "hub.yaml:21:5: accounts.us-cascadia.entity: there is no entity 'ridgline-us'; did you mean 'ridgeline-us'?",
        "hub.yaml:29:5: accounts.us-cascadia-chicago.connection: there is no connection 'papr'; did you mean 'paper'?",
    ]
    first = "hub.yaml:1:18: accounts.a.entity: there is no entity 'e'; add it under entities"
    assert faults("accounts: {a: {  entity: e, customer: c, connection: x}}")[0] == first


def test_an_identifier_belongs_to_one_customer(faults: Faults) -> None:
    """However it is spelled, an identifier at two customers is refused with both places."""
    text = (
        "customers:\n"
        "  a: {name: A, identifiers: {duns: 08-055-5501}}\n"
        "  b:\n    name: B\n    identifiers:\n      '0060': '080555501'\n"
    )
    assert faults(text) == [
        (
            "hub.yaml:6:7: customers.b.identifiers.0060: '080555501' is 'a''s too (hub.yaml:2:30); "
            "an identifier stands for one only: keep it at one"
        )
    ]


def test_an_entity_and_a_customer_may_be_one_company(loaded: Loaded) -> None:
    """Companies of one group invoice each other."""
    config = loaded(
        "entities: {a: {name: A, identifiers: {vat: X1}}}\ncustomers: {a: {name: A, identifiers: {vat: X1}}}"
    )
    assert config.entities["a"].identifiers == config.customers["a"].identifiers


def test_a_place_can_be_asked_for(loaded: Loaded, tmp_path: Path) -> None:
    """Findings point at the line that they speak of, in hub.yaml and in the customer list."""
    config = loaded(WHOLE, "customer,name,id:vat\nmeridian,Meridian,DE811555204\n")
    assert Place(str(tmp_path / "hub.yaml"), 10, 19) == config.place_of(
        ("customers", "cascadia", "identifiers", "duns")
    )
    assert Place(str(tmp_path / "customers.csv"), 2, 3) == config.place_of(
        ("customers", "meridian", "identifiers", "vat")
    )


def test_the_version_follows_what_routes_an_invoice(loaded: Loaded) -> None:
    """It is the same for the same companies and accounts, and another when one of them changes."""
    before = loaded(WHOLE).version
    assert before == loaded(WHOLE.replace("port: 9000", "port: 9001")).version
    assert before != loaded(WHOLE.replace("080555501", "080555502")).version


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("/var/lib/hub.db", "sqlite+pysqlite:////var/lib/hub.db"),
        ("postgresql://me@db.example/hub", "postgresql+psycopg://me@db.example/hub"),
        ("postgresql+psycopg:///hub?host=/run/pg", "postgresql+psycopg:///hub?host=%2Frun%2Fpg"),
    ],
)
def test_a_database_is_a_file_or_postgresql(loaded: Loaded, written: str, expected: str) -> None:
    """What is given to SQLAlchemy names the driver that is installed."""
    assert expected == loaded(f"database: {written}").database_url.get_secret_value()


def test_the_schema_knows_every_key_of_the_file() -> None:
    """Editors complete and check what the loader takes."""
    schema = json_schema()
    assert {"database", "entities", "customers", "connections", "accounts", "sources"} <= schema["properties"].keys()
    assert schema["$defs"]["ConnectionEntry"]["properties"]["poll_every"]["default"] == "5m"
    assert schema == json.loads(json.dumps(schema))
