"""`hub demo`: the whole job on simulated portals, as somebody meets it who has just cloned the project."""

from __future__ import annotations

import base64
import json
import os
import re
import select
import signal
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from workbench import HUB, SECRETS, Ran, Running, command, hub, until

# number: submission, stage, whose_move, reason_code, and a word of the reason that `hub explain` gives
EXPECTED: dict[str, tuple[str, str | None, str, str | None, str]] = {
    "RV-26-1001": ("accepted", "approved", "buyer", None, "Wait for the payment"),
    "RV-26-1002": ("accepted", "paid", "nobody_until", None, "the buyer has paid it"),
    "RV-26-1003": ("sent", None, "portal", None, "the portal has it"),
    "RV-26-1004": ("refused", None, "us_data", "supplier_po_missing", "order 4500099999 not found"),
    "RV-26-1005": ("held", None, "us_data", "cascadia.order", "10-digit PO number"),
    "RV-26-1006": ("accepted", None, "buyer", None, "Acknowledged"),
    "RV-26-3001": ("accepted", "approved", "buyer", None, "ORH-55017"),
    "RV-26-3002": ("needs_human", None, "us_ops", "other", "Key this invoice into Oakhurst supplier site"),
    "RV-26-3003": ("needs_human", None, "us_ops", "other", "Key this invoice into Oakhurst supplier site"),
    "RV-26-9001": ("held", None, "us_data", "route", "not a customer we know"),
    "RA-26-2001": ("accepted", "approved", "buyer", None, "Wait for the payment"),
    "RA-26-2002": ("accepted", "rejected", "us_data", "other", "reason not given by this channel"),
    "RA-26-2003": ("sent", None, "portal", None, "waits for its invoice RA-26-2001"),
    "RA-26-2004": ("sent", None, "portal", None, "the portal took it"),
}
KEYS = {
    *("number", "kind", "entity", "customer", "account", "amount", "currency", "submission", "stage", "whose_move"),
    *("reason_code", "reason_text", "portal_reference", "since", "as_of"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where this module's demos play, one after the other."""
    return tmp_path_factory.mktemp("demo") / "it's here"


@pytest.fixture(scope="module")
def played(folder: Path) -> Ran:
    """One demo, played to its end."""
    return hub("demo", "--once", "--json", "--dir", folder)


@pytest.fixture(scope="module")
def shown(played: Ran) -> dict[str, dict[str, Any]]:
    """What it printed, by number."""
    assert (0, 14) == (played.status, len(json.loads(played.out))), played.err
    return {row["number"]: row for row in json.loads(played.out)}


def _listens(folder: Path) -> bool:
    """Whether the simulated network of this demo still answers."""
    url = re.search(r"http://127\.0\.0\.1:\d+", (folder / "hub.yaml").read_text(encoding="utf-8"))
    assert url is not None
    with socket.socket() as line:
        return line.connect_ex(("127.0.0.1", urlsplit(url[0]).port)) == 0


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file() and path.parent.name != "secrets")


def test_every_invoice_stands_where_it_should(shown: dict[str, dict[str, Any]]) -> None:
    """Held, refused, doubted, rejected, paid, keyed in by hand: each of the fourteen has its state and its reason."""
    stand = {n: tuple(r[k] for k in ("submission", "stage", "whose_move", "reason_code")) for n, r in shown.items()}
    assert {number: expected[:4] for number, expected in EXPECTED.items()} == stand


def test_the_json_says_what_programs_need(shown: dict[str, dict[str, Any]]) -> None:
    """Every object has every key; amounts are texts, moments are UTC, and nothing is claimed that no portal said."""
    for row in shown.values():
        assert set(row) >= KEYS
        assert re.fullmatch(r"\d+\.\d\d", row["amount"])
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", row["since"])
    assert ("6194.58", "USD", "invoice") == tuple(shown["RV-26-1001"][k] for k in ("amount", "currency", "kind"))
    assert ("129.41", "EUR", "credit") == tuple(shown["RA-26-2003"][k] for k in ("amount", "currency", "kind"))
    assert "ORH-55017" == shown["RV-26-3001"]["portal_reference"]
    assert {"RV-26-1005", "RV-26-9001", "RV-26-3002", "RV-26-3003"} == {
        number for number, row in shown.items() if row["as_of"] is None
    }


@pytest.mark.parametrize("number", EXPECTED)
def test_explain_can_defend_each_state(shown: dict[str, dict[str, Any]], folder: Path, number: str) -> None:
    """`hub explain` ends with 0 and tells the reason, what comes next and what it rests on."""
    assert number in shown
    told = command("-w", folder, "explain", number)
    assert (0, "") == (told.exit_code, told.stderr)
    assert EXPECTED[number][4] in told.stdout
    assert f" {number}  " in told.stdout.splitlines()[0]
    assert "Next: " in told.stdout
    assert "sha256:" in told.stdout


def test_the_lost_reply_was_asked_about_and_not_sent_again(shown: dict[str, dict[str, Any]], folder: Path) -> None:
    """One attempt, in doubt, then found: the story says so, in this order."""
    told = command("-w", folder, "explain", "RV-26-1003").stdout
    assert "sent" == shown["RV-26-1003"]["submission"]
    assert 1 == len(re.findall(r"Attempt \d+, ", told))
    assert told.index("it may have arrived") < told.index("In doubt") < told.index("the portal has it")


def test_the_archive_is_proved(shown: dict[str, dict[str, Any]], folder: Path) -> None:
    """`hub evidence verify` finds every document of the demo whole."""
    assert shown
    proved = hub("-w", folder, "evidence", "verify")
    assert (0, "") == (proved.status, proved.err)
    assert re.fullmatch(r"\d\d documents in the chain, 0 things wrong\n", proved.out)


def test_no_secret_is_written_or_said(played: Ran, folder: Path) -> None:
    """The demo's secrets stand in their own files and nowhere else, in no form."""
    forms = {form for secret in SECRETS for form in _forms(secret)}
    searched = [played.out.encode(), played.err.encode(), *(path.read_bytes() for path in _files(folder))]
    assert len(searched) > 50
    assert [] == [form for form in forms for content in searched if form in content]
    assert 6 == len(list((folder / "secrets").iterdir()))


def _forms(secret: str) -> Iterator[bytes]:
    """How a secret could stand in a file, also as a part of something longer that is in base64."""
    yield from (text.encode() for text in (secret, quote(secret, safe=""), escape(secret), secret.replace("-", "%2D")))
    yield secret.encode().hex().encode()
    for before in range(3):
        coded = base64.b64encode(b"\0" * before + secret.encode())
        whole = coded[(before * 8 + 5) // 6 : (before + len(secret)) * 8 // 6]
        yield from (whole, whole.replace(b"+", b"-").replace(b"/", b"_"))


def test_nothing_is_left_running(shown: dict[str, dict[str, Any]], folder: Path) -> None:
    """The simulated network ends with the demo."""
    assert shown
    assert not _listens(folder)


def test_it_serves_in_the_same_folder_until_ctrl_c_in_a_terminal(
    shown: dict[str, dict[str, Any]], folder: Path
) -> None:
    """A second demo takes the first one's place, shows the page, keeps a third out, and ends at Ctrl-C with 0."""
    assert shown
    stale = folder / "inbox" / "stale.xml"
    stale.write_bytes(b"of the first demo")
    ours, theirs = os.openpty()
    with os.fdopen(ours, "rb", buffering=0) as screen:
        process = subprocess.Popen(
            ["setsid", "--ctty", HUB, "demo", "--dir", folder],  # the terminal becomes its own
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=os.environ | {"COLUMNS": "140"},
        )
        os.close(theirs)
        try:
            said = bytearray()
            while (page := re.search(rb"The page: (http://127\.0\.0\.1:\d+/)", said)) is None:
                assert select.select([screen], [], [], 40)[0], said.decode()
                said += screen.read(65536)
            url = page[1].decode()
            assert "RV-26-1003" in _get(url)
            assert 14 == len(json.loads(_get(f"{url}api/v1/invoices"))["invoices"])
            assert _listens(folder)
            third = command("demo", "--once", "--dir", folder)
            assert (1, "") == (third.exit_code, third.stdout)
            assert "another demo still runs" in third.stderr
            os.write(screen.fileno(), b"\x03")
            assert 0 == process.wait(20), said.decode()
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
    assert b"Traceback" not in said
    assert "Rejected or disputed by the buyer: 1" in said.decode()
    assert not stale.exists()
    assert not _listens(folder)
    with pytest.raises(OSError, match="refused"):
        _get(url)


def test_sigterm_ends_it_as_well(tmp_path: Path) -> None:
    """Whoever stops services with SIGTERM gets exit status 0, and nothing is left."""
    with Running("demo", "--dir", tmp_path / "demo") as demo:
        page = demo.wait_for(r"The page: (http://\S+/)")
        assert "RV-26-1003" in _get(page[1])
        assert 0 == demo.end(signal.SIGTERM), demo.lines
        assert [] == [line for line in demo.lines if "Traceback" in line or "Error" in line]
    until(lambda: not _listens(tmp_path / "demo"), 5)


def _get(url: str) -> str:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=10) as reply:
        return str(reply.read().decode())


def test_a_folder_that_is_no_demo_s_is_refused(tmp_path: Path) -> None:
    """Nobody's files are cleared away for a demo."""
    (tmp_path / "precious.txt").write_text("mine", encoding="utf-8")
    refused = command("demo", "--once", "--dir", tmp_path)
    assert (1, "") == (refused.exit_code, refused.stdout)
    assert f"hub: {tmp_path} is not empty and no earlier demo's; name another folder with --dir\n" == refused.stderr
    assert ["precious.txt"] == [path.name for path in tmp_path.iterdir()]
