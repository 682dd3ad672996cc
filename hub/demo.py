"""The demo: the whole job on simulated portals, with the program's own parts and our own fixture invoices.

Nothing is staged in the ledger: the files go into an inbox, the hub reads, checks, sends and asks, the simulated
network and a person answer, and what the view shows at the end is what became of it.
"""

from __future__ import annotations

import contextlib
import fcntl
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import sqlalchemy as sa

from hub.config import PROJECT
from hub.contract.status import Stage, Submission
from hub.delivery import arming, ledger, recording, tasks
from hub.delivery.recording import Said, Which
from hub.delivery.tasks import Say, Spoken
from hub.delivery.workspace import Workspace, open_workspace
from hub.engine import local
from hub.engine.work import Progress, plainly
from hub.simulators.client import Simulator, SimulatorFailed
from hub.store import tables as t

_MARK = ".demo"  # a folder with this file is a demo's, and may be made anew
_SIMULATED = PROJECT / "hub" / "simulators" / "demo.json"
_INVOICES = PROJECT / "fixtures" / "invoices"
_PASSES = 20
_DOUBTFUL = "RV-26-1003"  # its reply is lost
_UNTOUCHED = "Sent"  # the network's word for what no buyer has touched

# What the simulated buyers do with what reached them, in this order.
_BUYERS: tuple[tuple[str, Callable[[Simulator], object]], ...] = (
    ("RV-26-1001", lambda sim: (sim.advance("RV-26-1001"), sim.advance("RV-26-1001"))),  # acknowledged, approved
    ("RV-26-1002", lambda sim: sim.pay("RV-26-1002")),
    ("RV-26-1006", lambda sim: sim.advance("RV-26-1006")),
    ("RA-26-2001", lambda sim: (sim.advance("RA-26-2001"), sim.advance("RA-26-2001"))),
    ("RA-26-2002", lambda sim: sim.reject("RA-26-2002", "The price of line 1 differs from the order")),
)

_HUB_YAML = """\
# The demo's workspace: a simulated SAP Business Network, and a hospital whose portal only people use.
database: hub.db
time_zone: America/Denver
entities:
  ridgeline-us: {name: "Ridgeline Valve & Fitting, Inc.", identifiers: {tax: 84-5550101}}
  ridgeline-de: {name: Ridgeline Armaturen GmbH, identifiers: {vat: DE811555012}}
customers:
  cascadia: {name: Cascadia Paper Group, identifiers: {duns: "080555501"}}
  meridian: {name: Meridian Foods SE, identifiers: {vat: DE811555204}}
  oakhurst: {name: Oakhurst Regional Hospital, identifiers: {legal: 36-5550177}}
connections:
"""


def _connection(key: str, anid: str, country: str, url: str) -> str:
    return f"""\
  {key}:
    connector: ariba
    settings:
      url: {url}/service/transaction/cxml.asp
      identity: {anid}
      shared_secret: file:secrets/shared-{country}
      deployment_mode: test
      settles_within: 1s
      rest:
        url: {url}/api/invoices/v1/prod/invoices
        token_url: {url}/v2/oauth/token
        client_id: ridgeline-{country}
        client_secret: file:secrets/client-{country}
        api_key: file:secrets/api-key-{country}
    submit_every: 1s
    poll_every: 2s
"""


def _hub_yaml(url: str) -> str:
    return (
        _HUB_YAML
        + _connection("ariba-us", "AN01000000201-T", "us", url)
        + _connection("ariba-de", "AN01000000202-T", "de", url)
        + """\
  oakhurst-site:
    connector: manual
    settings: {portal: Oakhurst supplier site, url: "https://suppliers.oakhurst.example"}
accounts:
  cascadia-us:
    entity: ridgeline-us
    customer: cascadia
    connection: ariba-us
    portal_customer: AN01000000101-T
  meridian-de:
    entity: ridgeline-de
    customer: meridian
    connection: ariba-de
    portal_customer: AN01000000102-T
    time_zone: Europe/Berlin
  oakhurst-us: {entity: ridgeline-us, customer: oakhurst, connection: oakhurst-site}
sources:
  inbox: {folder: inbox, every: 2s}
"""
    )


# What the demo's suppliers know of their orders beyond the number: as a real workspace would keep it.
_ORDERS = """\
# source: the simulated network's orders; date: 2026-11-01
order,payload_id,order_date
4500017001,po-4500017001@cascadia.example,2026-09-01T08:00:00-07:00
4500017002,po-4500017002@cascadia.example,2026-09-15T08:00:00-07:00
4700000301,po-4700000301@meridian.example,2026-09-10T09:00:00+02:00
"""


class DemoError(Exception):
    """The demo did not come out as it should; says what did not."""


@contextlib.contextmanager
def demo(folder: Path, say: Callable[[str], None], *, progress: Progress = plainly) -> Iterator[Workspace]:
    """Play the demo in `folder` and hand over its workspace, with the simulated network still running."""
    try:
        with _room(folder), Simulator.start(_SIMULATED) as network:
            _set_up(folder, network.url)
            ws = open_workspace(folder, state=folder / ".state")  # made anew with its ledger, unlike a real one's
            try:
                _play(ws, network, say, progress)
                yield ws
                _end(ws)
            finally:
                ws.close()
    except SimulatorFailed as failed:
        raise DemoError(str(failed)) from failed


@contextlib.contextmanager
def _room(folder: Path) -> Iterator[None]:
    """An empty folder that is this demo's alone; whatever an earlier one left there is gone."""
    mark = folder / _MARK
    if mark.exists():
        with mark.open() as earlier:
            _lock(earlier, folder)
            shutil.rmtree(folder)
    elif folder.exists() and any(folder.iterdir()):
        raise DemoError(f"{folder} is not empty and no earlier demo's; name another folder with --dir")
    folder.mkdir(parents=True, exist_ok=True)
    with mark.open("w") as file:
        _lock(file, folder)
        yield


def _lock(mark: IO[str], folder: Path) -> None:
    try:
        fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise DemoError(f"another demo still runs in {folder}; end it, or name another folder with --dir") from None


def _set_up(folder: Path, url: str) -> None:
    (folder / "hub.yaml").write_text(_hub_yaml(url), encoding="utf-8")
    secrets = folder / "secrets"
    secrets.mkdir(mode=0o700)
    for country in ("us", "de"):
        for name, value in (
            (f"shared-{country}", f"demo-secret-{country}"),
            (f"client-{country}", f"demo-client-secret-{country}"),
            (f"api-key-{country}", f"demo-api-key-{country}"),
        ):
            path = secrets / name
            path.touch(mode=0o600)
            path.write_text(value, encoding="utf-8")
    codes = folder / "mappings" / "codes"
    codes.mkdir(parents=True)
    (codes / "orders.csv").write_text(_ORDERS, encoding="utf-8")
    (folder / "rules").mkdir()
    inbox = folder / "inbox"
    inbox.mkdir()
    for path in sorted(_INVOICES.iterdir()):
        if path.is_file():
            shutil.copy(path, inbox)


def _play(ws: Workspace, network: Simulator, say: Callable[[str], None], progress: Progress) -> None:
    say("An inbox with our fixture invoices; the network will lose one of its replies.")
    network.fault("drop_after_commit", verb="submit", times=1, number=_DOUBTFUL)
    local.once(ws, progress, quiet=0)
    say("Read, checked and sent. Now the buyers work, and the hub asks about the lost reply.")
    arrived = {document["number"] for document in network.documents()}
    for number, act in _BUYERS:
        if number not in arrived:
            raise DemoError(f"the simulated network never got {number}")
        act(network)
    _until_settled(ws, network, progress)
    _a_person_works(ws, say)
    say("The buyers' answers are in.")


def _end(ws: Workspace) -> None:
    """Its ledger may be looked at later, but its portals are gone."""
    with ws.db.writing("demo.over") as tx:
        arming.disarm(tx, why="the demo is over, and its simulated portals are gone", actor=ledger.HUB, at=ws.now())


def _until_settled(ws: Workspace, network: Simulator, progress: Progress) -> None:
    """Pass after pass until nothing is in doubt or on its way, and every buyer's word was heard."""
    s, d = t.submission.c, t.document.c
    on_its_way = (Submission.IN_DOUBT, Submission.SENDING, Submission.READY)
    query = sa.select(d.number, s.state, s.last_raw).join(t.document, s.document_id == d.id)
    for _ in range(_PASSES):
        time.sleep(0.5)
        local.once(ws, progress, quiet=0)
        said = {document["number"]: document["status"] for document in network.documents()}
        with ws.db.reading() as tx:
            rows = tx.execute(query).all()
        if all(
            row.state not in on_its_way and said.get(row.number) in (None, _UNTOUCHED, row.last_raw) for row in rows
        ):
            return
    raise DemoError("something is still on its way; see `hub status` in the demo's folder")


def _a_person_works(ws: Workspace, say: Callable[[str], None]) -> None:
    """Somebody keys the first of the hospital's invoices into its site and later types in what became of it."""
    with ws.db.reading() as tx:
        first = next((task for task in tasks.open_tasks(tx) if task.kind == tasks.TaskKind.KEY_IN), None)
    if first is None:
        raise DemoError("no task sheet was made for the hospital's portal")
    tasks.answer(ws, first.id, Spoken(Say.SENT, by="demo", reference="ORH-55017"))
    say(f"A person keyed {first.number} into the hospital's site and entered its confirmation, ORH-55017.")
    recording.record(ws, Said(Which(first.number), Stage.APPROVED), by="demo")
