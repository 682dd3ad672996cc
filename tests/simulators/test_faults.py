from __future__ import annotations

from collections.abc import Iterator

import pytest
from ariba_samples import PAIR, invoice, met
from faults import COMMITTED, FAULTS, OF_SUBMIT, UNCOMMITTED, UNRESOLVED, Fault, Line, befall
from workbench import until

from hub.contract.status import Delivered
from hub.simulators.client import Simulator
from hub.simulators.control import FAULT_NAMES

# What was asked for, in the words of who asked, and under which names it is here.
WANTED = {
    "refuse": {"refuse"},
    "drop before commit": {"drop_before_commit", "cut_request", "black_hole"},
    "commit then drop": {"drop_after_commit", "cut_reply"},
    "commit then reset": {"reset_after_commit", "reset_in_reply"},
    "commit then hang": {"hang_after_commit"},
    "commit then 500": {"500_after_commit"},
    "commit then torn headers": {"torn_headers_after_commit"},
    "commit then cut body": {"cut_body_after_commit"},
    "commit then HTML page": {"html_page_after_commit"},
    "commit then empty 200": {"empty_200_after_commit"},
    "an empty 200 and nothing done": {"empty_200"},
    "429 with Retry-After": {"429"},
    "503": {"503"},
    "401 mid-run": {"401", "401_in_body", "token_expired"},
    "slow": {"slow", "delay", "drip"},
    "search lag": {"search_lag"},
    "search never shows": {"search_never"},
    "late commit": {"late_commit"},
    "duplicate events": {"duplicate_events"},
    "out-of-order events": {"events_out_of_order"},
    "unknown word": {"unknown_word"},
    "maintenance page": {"html_page", "503_page"},
    "login page in the middle": {"login_page", "login_redirect"},
    "clock skew": {"clock_ahead", "clock_behind"},
    "TLS broken mid-reply": {"tls_broken", "tls_broken_in_body"},
    "name not resolved": {"name_not_resolved"},
}


@pytest.fixture(scope="module")
def line(running_tls: Simulator) -> Iterator[Line]:
    """A line to the network, TLS all the way."""
    with Line.before(running_tls, PAIR) as line:
        yield line


def test_every_fault_that_was_asked_for_is_here_and_no_other() -> None:
    """Each name leads to at least one fault, and each fault has been asked for."""
    assert set().union(*WANTED.values()) == set(FAULTS)
    assert [] == [fault.name for name, fault in FAULTS.items() if name != fault.name]


def test_every_fault_of_the_simulator_is_among_them() -> None:
    """What the control plane can do is what the table says it can."""
    assert set(FAULT_NAMES) == {fault.name for fault in FAULTS.values() if fault.by == "control"}


def test_what_may_be_said_is_never_a_lie() -> None:
    """Of what is kept nobody may say no, of what is not kept nobody may say yes; a refused connection is a no."""
    assert [] == [fault.name for fault in FAULTS.values() if fault.committed and Delivered.NO in fault.says]
    assert [] == [fault.name for fault in FAULTS.values() if not fault.committed and Delivered.YES in fault.says]
    assert {Delivered.NO} == FAULTS["refuse"].says == FAULTS["name_not_resolved"].says
    assert set(OF_SUBMIT) == set(COMMITTED) | set(UNCOMMITTED)


@pytest.mark.parametrize("fault", FAULTS.values(), ids=lambda fault: fault.name)
def test_what_is_kept_is_what_it_says(tls_sim: Simulator, line: Line, fault: Fault) -> None:
    """A document that is posted through the fault is at the portal if it is called committed, and only then."""
    line.clear()
    url = line.url
    if fault.by == "settings":
        url = f"https://{UNRESOLVED}"
    elif "submit" in fault.befalls:
        befall(fault, sim=tls_sim, line=line, number="INV-1", seconds=0.2 if fault.seconds else None)
    answer = met(url, invoice(), seconds=1)
    if "submit" not in fault.befalls:
        befall(fault, sim=tls_sim, line=line, number="INV-1")
    if fault.committed:
        until(lambda: ["INV-1"] == [document["number"] for document in tls_sim.documents()], 5)
    else:
        assert [] == tls_sim.documents()
    assert (fault.says == {Delivered.YES}) <= (answer == "200 cXML"), answer
    if answer == "200 cXML":
        assert Delivered.YES in fault.says or fault.name == "401_in_body"


def test_a_fault_befalls_its_verb_and_its_number(tls_sim: Simulator, line: Line) -> None:
    """Wherever it is done: other invoices and other verbs pass."""
    line.clear()
    for name in ("html_page", "cut_request"):
        befall(FAULTS[name], sim=tls_sim, line=line, number="INV-2")
    sent = [met(line.url, invoice(number)) for number in ("INV-1", "INV-2", "INV-2", "INV-3")]
    assert ["200 cXML", "ConnectionError", "200 html", "200 cXML"] == sent
