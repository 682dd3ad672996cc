"""The simulated network for the conformance suite: two buyers, of whom one takes no number twice; TLS on the way."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar, Self

from conformance import Held, Stand
from faults import FAULTS, UNRESOLVED, Fault, befall
from line import Line
from lxml import etree

from connectors.ariba.connector import AribaConnector
from hub.contract.invoice import Invoice
from hub.contract.status import Intake, Stage
from hub.simulators.client import Simulator

_KEYS = Path(__file__).resolve().parents[1]
SUPPLIER, STRICT, LENIENT = "AN01000000301-T", "AN01000000401-T", "AN01000000402-T"
SHARED, CLIENT, API_KEY, WRONG = 'canary & "<shared>"/1', "canary+client/2 =&", "canary<key>&3/+", "canary-wrong-4"
_BUYERS = {True: ("Orchard & Vale Mills", "080555401"), False: ("Pine Hollow Paper", "080555402")}
_DEAD = ("Failed", "Rejected", "Canceled")
_NETWORK = {
    "suppliers": [
        {
            "anid": SUPPLIER,
            "shared_secret": SHARED,
            "client_id": "kestrel",
            "client_secret": CLIENT,
            "api_key": API_KEY,
        }
    ],
    "buyers": [
        {
            "anid": STRICT,
            "name": _BUYERS[True][0],
            "suppliers": [SUPPLIER],
            "allow_non_po": True,
            "enforce_unique_numbers": True,
            "reuse_number_after_refusal": True,
        },
        {
            "anid": LENIENT,
            "name": _BUYERS[False][0],
            "suppliers": [SUPPLIER],
            "allow_non_po": True,
            "enforce_unique_numbers": False,
        },
    ],
}


class AribaStand(Stand):
    """The network as one supplier sees it."""

    connector = AribaConnector
    name = "ariba"
    secrets = (SHARED, CLIENT, API_KEY, WRONG)
    faults = tuple(FAULTS.values())
    words: ClassVar = {
        Intake.ACCEPTED: "Acknowledged",
        Intake.REFUSED: "Failed",
        Stage.APPROVED: "Approved",
        Stage.PAID: "Paid",
        Stage.REJECTED: "Rejected",
        Stage.CANCELLED: "Canceled",
    }

    with_rest: ClassVar[bool] = True  # without it nothing can be asked

    def __init__(self, sim: Simulator, line: Line) -> None:
        self.sim = sim
        self.line = line

    @classmethod
    @contextmanager
    def open(cls) -> Iterator[Self]:
        tls = (_KEYS / "loopback.pem", _KEYS / "loopback.pem")
        with Simulator.start(_NETWORK, tls=tls) as sim, Line.before(sim, tls) as line:
            yield cls(sim, line)

    def settings(self, *, timeout: float = 20) -> dict[str, Any]:
        return self._settings(self.line.url, SHARED, CLIENT, timeout)

    def _settings(self, url: str, shared: str, client: str, timeout: float = 20) -> dict[str, Any]:
        rest = {
            "url": f"{url}/api/invoices/v1/prod/invoices",
            "token_url": f"{url}/v2/oauth/token",
            "client_id": "kestrel",
            "client_secret": client,
            "api_key": API_KEY,
        }
        return {
            "url": f"{url}/service/transaction/cxml.asp",
            "identity": SUPPLIER,
            "shared_secret": shared,
            "deployment_mode": "test",
            "settles_within": "2s",
            "timeout": f"{timeout}s",
            "ca_bundle": str(_KEYS / "loopback-ca.pem"),
            **({"rest": rest} if self.with_rest else {}),
        }

    def hub_yaml(self) -> dict[str, Any]:
        kinds = {True: ("strict", STRICT), False: ("lenient", LENIENT)}
        named = {key: (unique, anid) for unique, (key, anid) in kinds.items()}
        return {
            "time_zone": "America/Chicago",
            "entities": {"kestrel": {"name": "Kestrel Bearings Ltd", "identifiers": {"tax": "84-5550007"}}},
            "customers": {
                key: {"name": _BUYERS[unique][0], "identifiers": {"duns": _BUYERS[unique][1]}}
                for key, (unique, _) in named.items()
            },
            "accounts": {
                key: {"entity": "kestrel", "customer": key, "connection": "portal", "portal_customer": anid}
                for key, (_, anid) in named.items()
            },
        }

    def account(self, *, unique: bool) -> str:
        return "strict" if unique else "lenient"

    @classmethod
    def invoice(cls, *, unique: bool) -> dict[str, Any]:
        name, duns = _BUYERS[unique]
        address = {"lines": ["900 Mill Road"], "city": "Boise", "region": "ID", "postal_code": "83702", "country": "US"}
        return {
            "currency": "USD",
            "seller": {"name": "Kestrel Bearings Ltd", "tax_id": "84-5550007", "address": address},
            "buyer": {"name": name, "identifiers": [{"value": duns, "scheme": "DUNS"}], "address": address},
            "taxes": [{"category": "S", "rate": "8.25", "kind": "sales", "location": "ID"}],
            "lines": [{"unit": "H87", "name": "Bearing"}],
        }

    def reset(self) -> None:
        self.calm()
        self.sim.reset()

    def held(self, number: str) -> list[Held]:
        return [_held(one) for one in self.sim.documents(raw=True) if one["number"] == number]

    def befall(self, fault: Fault, *, verb: str = "submit", number: str | None = None, times: int | None = 1) -> None:
        befall(fault, sim=self.sim, line=self.line, verb=verb, number=number, times=times)

    def befallen(self, fault: Fault) -> dict[str, Any]:  # noqa: ARG002 - there is one such fault
        return self._settings(f"https://{UNRESOLVED}", SHARED, CLIENT)

    def calm(self) -> None:
        self.sim.clear_faults()
        self.line.clear()

    def submits(self) -> int:
        return len(self.sim.requests("submit"))

    def wrong(self) -> dict[str, Any]:
        return self._settings(self.line.url, WRONG, WRONG)

    def expire(self) -> bool:
        self.sim.forget_tokens()
        return self.with_rest

    def say(self, number: str, word: str, reason: str = "") -> None:
        if word == "Failed" and reason:
            self.sim.fail(number, reason)
        else:
            self.sim.set_status(number, word)

    def refusable(self, invoice: Invoice) -> tuple[Invoice, str]:
        line = invoice.lines[0].model_copy(update={"order_line": "10"})
        order = {"purchase_order_reference": "4500099999", "lines": (line,)}
        return invoice.model_copy(update=order), "4500099999"

    @classmethod
    def is_sandbox(cls, settings: Any) -> bool:
        return bool(settings.deployment_mode == "test")


def _held(document: dict[str, Any]) -> Held:
    body = base64.b64decode(document["body_base64"])
    start, end = body.find(b"<?xml"), body.find(b"</cXML>") + len(b"</cXML>")
    return Held(
        number=document["number"],
        total=abs(Decimal(document["total"])),
        live=document["status"] not in _DEAD,
        text="\n".join(etree.fromstring(body[start:end]).itertext()),
        body=body,
        attachments=tuple(each["sha256"] for each in document["attachments"]),
    )
