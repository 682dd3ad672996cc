from __future__ import annotations

import dataclasses
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from ariba_samples import AS_HEADER, BUYER, LOOSE, NO_ORDER, STRICT, SUMMARISED, TAX_ID, config, invoice, send

from hub.simulators.ariba.answers import Refusal
from hub.simulators.ariba.config import load
from hub.simulators.ariba.envelope import envelope, parsed
from hub.simulators.ariba.invoice import read
from hub.simulators.ariba.network import Incoming, Network
from hub.simulators.client import Simulator


@pytest.mark.parametrize("number", ["INV-1", " inv-1 "])
def test_a_number_is_taken_once(sim: Simulator, number: str) -> None:
    """The same number, in whatever case and with whatever spaces, is a duplicate for this buyer and no other."""
    assert 200 == send(sim, invoice()).code
    again = send(sim, invoice(number, payload="second@supplier.example"))
    assert (200, 409, True) == (again.http, again.code, "INVOICE_DUPLICATE" in again.text)
    assert 200 == send(sim, invoice(number, payload="third@supplier.example", buyer=LOOSE)).code
    assert 2 == len(sim.documents())


def test_the_same_bytes_are_taken_once(sim: Simulator) -> None:
    """A repeated payloadID is a duplicate, even when the first one used the order up."""
    document = invoice(quantity="100", total="1250.00")
    assert [200, 409] == [send(sim, document).code, send(sim, document).code]


def test_two_at_once_with_one_number_leave_one(sim: Simulator) -> None:
    """However they race, exactly one of several documents of one number is kept."""
    documents = [invoice("INV-R", payload=f"{i}@race.example") for i in range(8)]
    with ThreadPoolExecutor(8) as pool:
        codes = list(pool.map(lambda document: send(sim, document).code, documents))
    assert [200, *[409] * 7] == sorted(codes)
    assert 1 == len(sim.documents())


def test_taking_in_is_one_step(tmp_path: Path) -> None:
    """Threads that are switched at every chance still leave one document of each number, within the order."""
    file = tmp_path / "config.json"
    file.write_text(json.dumps(config()))
    network = Network(load(file), settle=0)
    supplier, buyer = network.config.suppliers[0], network.config.buyers[0]
    request = envelope(parsed(invoice(quantity="1", total="12.50"))).request
    read_once = read(request)

    def store(i: int) -> bool:
        numbered = dataclasses.replace(read_once, number=f"INV-{i // 4}")
        try:
            network.store(Incoming(supplier, buyer, f"{i}@x.example", numbered, (), (), b""))
        except Refusal:
            return False
        return True

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as pool:
            taken = list(pool.map(store, range(600)))
    finally:
        sys.setswitchinterval(before)
    numbers = [document.invoice.number for document in network.documents]
    assert sum(taken) == len(numbers) == len(set(numbers)) == 100


def test_a_number_is_free_again_where_the_buyer_says_so(sim: Simulator) -> None:
    """After a refusal the number may be used again at one buyer, and not at the other."""
    codes = {}
    for buyer in (BUYER, LOOSE):
        send(sim, invoice(payload=f"1@{buyer}", buyer=buyer))
        sim.reject("INV-1", "wrong price", buyer=buyer)
        codes[buyer] = send(sim, invoice(payload=f"2@{buyer}", buyer=buyer)).code
    assert codes == {BUYER: 409, LOOSE: 200}


def test_no_more_is_invoiced_than_was_ordered(sim: Simulator) -> None:
    """Beyond what is left of an order line comes 500 with a reference number; a refused invoice gives its part back."""
    assert 200 == send(sim, invoice("INV-1", quantity="60", total="750.00")).code
    assert 200 == send(sim, invoice("INV-2", quantity="40", total="500.00")).code
    over = send(sim, invoice("INV-3", quantity="1", total="12.50"))
    assert (200, 500) == (over.http, over.code)
    assert over.text.startswith("Error:null Please contact support with the Error Reference Number: ANERR-")
    sim.fail("INV-2", "broke a rule")
    assert 200 == send(sim, invoice("INV-3", quantity="40", total="500.00")).code
    assert 500 == send(sim, invoice("INV-4", quantity="1", total="12.50")).code


def test_no_more_money_is_invoiced_than_was_ordered(sim: Simulator) -> None:
    """Without quantities the order's total is the limit."""
    header = SUMMARISED | AS_HEADER
    assert 200 == send(sim, invoice("INV-1", total="2000.00", swap=header)).code
    assert 500 == send(sim, invoice("INV-2", total="50.01", swap=header)).code
    assert 200 == send(sim, invoice("INV-3", total="50.00", swap=header)).code


def test_a_credit_gives_quantity_back(sim: Simulator) -> None:
    """After a credit of 40 pieces, 40 can be invoiced again."""
    send(sim, invoice("INV-1", quantity="100", total="1250.00"))
    credit = invoice(
        "CR-1", quantity="-40", total="-500.00", purpose="lineLevelCreditMemo", original="INV-1@supplier.example"
    )
    assert 200 == send(sim, credit).code
    assert 200 == send(sim, invoice("INV-2", quantity="40", total="500.00")).code
    assert 500 == send(sim, invoice("INV-3", quantity="1", total="12.50")).code


def test_a_price_credit_gives_money_back_and_no_quantity(sim: Simulator) -> None:
    """Half a dollar less for a hundred pieces leaves nothing more to invoice of their line."""
    send(sim, invoice("INV-1", quantity="100", total="1250.00"))
    changes = {"purpose": "lineLevelCreditMemo", "original": "INV-1@supplier.example", "price": "-0.50"}
    swap = {"LineIndicator/>": 'LineIndicator isPriceAdjustmentInLine="yes"/>'}
    assert 200 == send(sim, invoice("CR-1", quantity="100", total="-50.00", swap=swap, **changes)).code
    assert 500 == send(sim, invoice("INV-2", quantity="1", total="12.50")).code


def test_a_debit_of_the_price_takes_no_quantity(sim: Simulator) -> None:
    """What was invoiced too cheaply is billed again, for the same pieces."""
    send(sim, invoice("INV-1", quantity="100", total="1250.00"))
    changes = {"purpose": "lineLevelDebitMemo", "original": "INV-1@supplier.example", "price": "0.50"}
    swap = {"LineIndicator/>": 'LineIndicator isPriceAdjustmentInLine="yes"/>'}
    assert 200 == send(sim, invoice("DR-1", quantity="100", total="50.00", swap=swap, **changes)).code


def test_a_price_may_differ_within_the_buyers_tolerance(sim: Simulator) -> None:
    """Ten percent more is taken by the buyer that tolerates it, and by no other."""
    dearer = {"quantity": "10", "price": "13.75", "total": "137.50"}
    refused = send(sim, invoice(**dearer))
    assert (400, True) == (refused.code, "INV-PRICE" in refused.text)
    assert 200 == send(sim, invoice(**dearer, buyer=LOOSE)).code
    assert 400 == send(sim, invoice("INV-2", quantity="1", price="13.76", total="13.76", buyer=LOOSE)).code


def test_an_order_from_outside_the_network_needs_a_willing_buyer(sim: Simulator) -> None:
    """An order named by id only, unknown here, is taken where the buyer allows it."""
    assert 200 == send(sim, invoice(buyer=LOOSE, reference='<OrderIDInfo orderID="99"/>')).code


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"reference": NO_ORDER, "tax_id": TAX_ID}, "INV-143: Cannot create a non-PO invoice with pricing details."),
        ({}, "INV-98: Your Tax ID value is missing."),
        ({"tax_id": TAX_ID}, "INV-ATTACHMENT: The customer requires an attachment."),
    ],
)
def test_what_breaks_a_buyers_rule_is_taken_and_fails_later(
    sim: Simulator, changes: dict[str, str], reason: str
) -> None:
    """The reply is 200; the document then stands as Failed with the reason, before the buyer ever sees it."""
    assert 200 == send(sim, invoice(buyer=STRICT, **changes)).code
    (kept,) = sim.documents()
    assert ("Failed", reason) == (kept["status"], kept["reason"])
    assert ["Sent", "Failed"] == [change["status"] for change in kept["changes"]]


def test_a_cancellation_works_only_while_sent(sim: Simulator) -> None:
    """It cancels its original by payloadID and number; an acknowledged or unknown one stays as it is."""
    cancel = {"payload": "c@x.example", "operation": "delete", "original": "INV-1@supplier.example"}
    assert 417 == send(sim, invoice(**cancel)).code
    send(sim, invoice())
    send(sim, invoice("INV-2"))
    sim.advance("INV-2")
    assert 417 == send(sim, invoice("INV-2", **cancel)).code
    assert 200 == send(sim, invoice(**cancel)).code
    assert 409 == send(sim, invoice(**cancel)).code
    late = send(sim, invoice("INV-2", **{**cancel, "original": "INV-2@supplier.example"}))
    assert (409, True) == (late.code, "is Acknowledged" in late.text)
    statuses = {d["number"]: d["status"] for d in sim.documents() if d["operation"] == "new"}
    assert {"INV-1": "Canceled", "INV-2": "Acknowledged"} == statuses


def test_a_duplicate_may_show_only_later() -> None:
    """With duplicate_style later the reply is 200, and the second document stands as Failed beside the first."""
    with Simulator.start(config(duplicate_style="later")) as sim:
        codes = [send(sim, invoice(payload=f"{i}@x.example")).code for i in range(2)]
        statuses = [(document["status"], document["reason"][:17]) for document in sim.documents()]
    assert codes == [200, 200]
    assert [("Sent", ""), ("Failed", "INVOICE_DUPLICATE")] == statuses


def test_a_document_waits_in_the_queue_first_where_so_configured() -> None:
    """Queued, then Sent, then Acknowledged by itself, each at its time."""
    with Simulator.start(config(queued_seconds=30)) as sim:
        send(sim, invoice(buyer=LOOSE))
        seen = []
        for offset in (0, 31, 91):
            sim.clock(offset)
            seen.append(sim.documents()[0]["status"])
    assert ["Queued", "Sent", "Acknowledged"] == seen
