"""Killed without warning in the middle of its work: nothing is sent twice, nothing is lost, nothing stays stuck."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from hub_process import process
from scripted import drop, invoice, rows, states, until

from fixtures.cast import Document, item
from fixtures.documents import STATE, TO_PUEBLO
from hub.contract.status import Submission
from hub.delivery.workspace import Workspace
from hub.simulators.client import Simulator
from hub.store import tables as t

Open = Callable[..., Workspace]
INVOICES = 40
SUPPLIER, BUYER = "AN01000000901-T", "AN01000000902-T"
PARTS = (("10", "RV-1012", "Relief valve, 1/2 in, brass", "12.50"), ("20", "FT-0005", "Elbow fitting, 1/2 in", "3.20"))
NETWORK: dict[str, Any] = {
    "suppliers": [
        {
            "anid": SUPPLIER,
            "shared_secret": "kill-shared-secret",
            "client_id": "kill",
            "client_secret": "kill-client-secret",
            "api_key": "kill-api-key",
        }
    ],
    "buyers": [
        {
            "anid": BUYER,
            "name": "Cascadia Paper Group",
            "suppliers": [SUPPLIER],
            "enforce_unique_numbers": False,  # whoever sends a number twice has two invoices there
            "orders": [
                {
                    "id": "4500019001",
                    "payload_id": "po-4500019001@cascadia.example",
                    "date": "2026-09-01T08:00:00-07:00",
                    "currency": "USD",
                    "lines": [
                        {"number": number, "quantity": "5000", "unit": "EA", "price": price, "part": part}
                        for number, part, _, price in PARTS
                    ],
                }
            ],
        }
    ],
}
HUB_YAML = """\
time_zone: America/Denver
entities:
  us: {{name: "Ridgeline Valve & Fitting, Inc.", identifiers: {{tax: 84-5550101}}}}
customers:
  cascadia: {{name: Cascadia Paper Group, identifiers: {{duns: "080555501"}}}}
connections:
  network:
    connector: ariba
    settings:
      url: {url}/service/transaction/cxml.asp
      identity: {supplier}
      shared_secret: file:shared
      deployment_mode: test
      settles_within: 1s
      rest:
        url: {url}/api/invoices/v1/prod/invoices
        token_url: {url}/v2/oauth/token
        client_id: kill
        client_secret: file:client
        api_key: file:key
    submit_every: 0.2s
    poll_every: 0.5s
accounts:
  cascadia-us: {{entity: us, customer: cascadia, connection: network, portal_customer: {buyer}}}
sources:
  inbox: {{folder: inbox, every: 0.2s}}
"""
ORDERS = """\
# source: the test's network; date: 2026-11-01
order,payload_id,order_date
4500019001,po-4500019001@cascadia.example,2026-09-01T08:00:00-07:00
"""


def documents() -> list[Document]:
    """Forty invoices, no two alike."""
    made = []
    for n in range(1, INVOICES + 1):
        lines = [item(n + at, part, name, price, line, STATE) for at, (line, part, name, price) in enumerate(PARTS)]
        one = invoice(f"K-26-{n:03}", items=tuple(lines[: 1 + n % 2]), order="4500019001", **TO_PUEBLO)
        made.append(replace(one, items=tuple(replace(each, quantity=Decimal(each.quantity)) for each in one.items)))
    return made


def workspace(folder: Path, url: str) -> None:
    """A workspace at the simulated network, its inbox full."""
    (folder / "hub.yaml").write_text(HUB_YAML.format(url=url, supplier=SUPPLIER, buyer=BUYER))
    secrets = {"shared": "kill-shared-secret", "client": "kill-client-secret", "key": "kill-api-key"}
    for name, secret in secrets.items():
        (folder / name).touch(mode=0o600)
        (folder / name).write_text(secret)
    (folder / "mappings" / "codes").mkdir(parents=True)
    (folder / "mappings" / "codes" / "orders.csv").write_text(ORDERS)
    (folder / "inbox").mkdir()
    drop(folder, *documents())
    past = time.time() - 10
    for path in (folder / "inbox").iterdir():
        os.utime(path, (past, past))


def test_killed_three_times_it_delivers_each_of_forty_invoices_once(opened: Open, tmp_path: Path) -> None:
    """At each kill one reply is on the wire and never read; replies are lost between the kills too."""
    with Simulator.start(NETWORK, settle=0.3) as network:
        workspace(tmp_path, network.url)

        def there() -> list[str]:
            return [document["number"] for document in network.documents()]

        for number in ("K-26-006", "K-26-017", "K-26-029", "K-26-040"):
            network.fault("drop_after_commit", verb="submit", number=number)
        network.fault("reset_after_commit", verb="submit", number="K-26-012")
        network.fault("drop_before_commit", verb="submit", number="K-26-020")
        for least, on_the_wire in ((7, "K-26-004"), (16, "K-26-014"), (27, "K-26-026")):
            network.fault("hang_after_commit", verb="submit", number=on_the_wire, seconds=30)
            with process(tmp_path) as hub:
                until(lambda: len(found := there()) >= least and on_the_wire in found, f"{least} invoices", seconds=20)  # noqa: B023 - called at once
                hub.process.send_signal(signal.SIGKILL)
                assert -signal.SIGKILL == hub.process.wait(5)
            assert len(there()) < INVOICES  # it was in the middle
        settled = {Submission.SENT, Submission.ACCEPTED}
        with process(tmp_path) as hub:
            ws = opened()
            until(lambda: set(states(ws).values()) <= settled, "everything to settle", seconds=30)
            assert (0, "ended\n", "") == hub.end(signal.SIGTERM, seconds=15)
        expected = {document.number for document in documents()}
        assert dict.fromkeys(expected, 1) == Counter(there())
        assert [] == [entry for entry in network.requests("submit") if "409" in str(entry["outcome"])]
        assert expected == states(ws).keys()
        assert INVOICES == len(rows(ws, t.submission))
        doubted = {row.submission_id for row in rows(ws, t.transition) if row.after == Submission.IN_DOUBT}
        assert len(doubted) >= 9  # three kills and six lost replies, all settled by asking
        assert [] == [row for row in rows(ws, t.submission) if row.lease_owner is not None]
        assert [] == [row for row in rows(ws, t.task) if row.answered_at is None]
    assert INVOICES == sum(1 for _ in (tmp_path / "done").iterdir())
