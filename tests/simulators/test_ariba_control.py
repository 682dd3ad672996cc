from __future__ import annotations

import pytest
from ariba_samples import BUYER, LOOSE, found, invoice, send

from hub.simulators.client import Simulator, SimulatorFailed


def test_the_buyer_works_step_by_step(sim: Simulator) -> None:
    """Sent, Acknowledged, Approved, Paid; then nothing follows."""
    send(sim, invoice())
    assert ["Acknowledged", "Approved", "Paid"] == [sim.advance("INV-1") for _ in range(3)]
    assert [("INV-1", "Paid")] == found(sim)
    with pytest.raises(SimulatorFailed, match="INV-1 is Paid"):
        sim.advance("INV-1")


def test_a_status_can_be_set_to_anything(sim: Simulator) -> None:
    """Rejected and Failed keep their reason, which the search does not show; strange words are shown as they are."""
    send(sim, invoice())
    sim.reject("INV-1", "price too high")
    sim.fail("INV-1", "INV-13")
    sim.pay("INV-1")
    sim.set_status("INV-1", "Misplaced")
    changes = [(change["status"], change["reason"]) for change in sim.documents()[0]["changes"]]
    assert [
        ("Sent", ""),
        ("Rejected", "price too high"),
        ("Failed", "INV-13"),
        ("Paid", ""),
        ("Misplaced", ""),
    ] == changes
    assert [("INV-1", "Misplaced")] == found(sim)


def test_a_buyer_can_be_named(sim: Simulator) -> None:
    """Two buyers may have the same number; the request says which is meant."""
    send(sim, invoice(payload="1@x.example"))
    send(sim, invoice(payload="2@x.example", buyer=LOOSE))
    sim.advance("INV-1", buyer=BUYER)
    assert {BUYER: "Acknowledged", LOOSE: "Sent"} == {d["buyer"]: d["status"] for d in sim.documents()}


def test_reset_forgets(sim: Simulator) -> None:
    """No document, log entry, fault or clock is left; the number is free."""
    send(sim, invoice())
    sim.clock(1000)
    sim.fault("empty_200")
    sim.reset()
    assert ([], [], []) == (sim.documents(), sim.requests(), sim.control("GET", "faults"))
    assert 200 == send(sim, invoice()).code


def test_the_log_says_what_was_asked_and_answered(sim: Simulator) -> None:
    """One entry per request, with verb, number, outcome and the fault that hit it."""
    send(sim, invoice())
    sim.fault("drop_before_commit", verb="find")
    with pytest.raises(OSError, match="closed"):
        found(sim, "documentNumber eq 'INV-1'")
    entries = [(e["verb"], e["number"], e["fault"], e["outcome"]) for e in sim.requests()]
    assert [
        ("submit", "INV-1", None, "cXML 200"),
        ("token", None, None, "HTTP 200"),
        ("find", "INV-1", "drop_before_commit", "nothing done"),
    ] == entries


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        ("advance", {"number": "INV-404"}, "no invoice INV-404"),
        ("set", {"number": "INV-1"}, "status is None"),
        ("clock", {"offset_seconds": "soon"}, "not a number"),
        ("faults", {"fault": "earthquake"}, "there are: "),
        ("faults", {"fault": "empty_200", "verbs": "find"}, "no keys of a fault"),
        ("faults", {"fault": "empty_200", "verb": "write"}, "verb 'write'"),
        ("faults", {"fault": "empty_200", "times": 0}, "count of 1 or more"),
        ("faults", {"fault": "empty_200", "seconds": 3}, "does not last"),
        ("faults", {"fault": "hang_after_commit", "seconds": 0}, "above 0"),
        ("faults", {"fault": "refuse", "verb": "submit"}, "concerns the port"),
        ("dance", {}, "no control route"),
    ],
)
def test_a_wrong_control_request_says_what_is_wrong(
    sim: Simulator, path: str, body: dict[str, object], words: str
) -> None:
    """Nothing is swallowed: unknown routes, keys, words and values are named."""
    with pytest.raises(SimulatorFailed, match=words):
        sim.control("POST", path, body)
