from __future__ import annotations

import ast
import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ariba_samples import PATH, PROFILE, XML, config, invoice, send

import hub.simulators
from hub.simulators.client import Simulator, SimulatorFailed

FOLDER = Path(hub.simulators.__file__).parent
ALLOWED = {"hub.simulators", "lxml", *sys.stdlib_module_names}


def imported(file: Path) -> set[str]:
    """The modules a file imports; ours down to the second name."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert 0 == node.level, f"{file} imports relatively"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {".".join(name.split(".")[: 2 if name.startswith("hub") else 1]) for name in names}


def test_simulators_share_no_code_with_what_they_test() -> None:
    """They import the standard library, lxml and each other, and nothing else."""
    files = sorted(FOLDER.rglob("*.py"))
    assert {} == {str(file): strange for file in files if (strange := imported(file) - ALLOWED)}
    assert len(files) > 10


def test_it_ends_at_sigterm_with_0() -> None:
    """One line when it listens, nothing more; it ends at once, idle connections or not."""
    with Simulator.start(config()) as sim:
        host, port = sim.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))):
            began = time.monotonic()
            sim.process.send_signal(signal.SIGTERM)
            assert 0 == sim.process.wait(5)
        assert time.monotonic() - began < 2


PARENT = """
import json, sys, time
from pathlib import Path
from hub.simulators.client import Simulator
with Simulator.start(Path(sys.argv[1])) as sim:
    print(sim.url, flush=True)
    time.sleep(60)
"""


def test_it_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    """A parent that is killed without a chance to clean up leaves no simulator behind."""
    file = tmp_path / "config.json"
    file.write_text(json.dumps(config()))
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    command = [sys.executable, "-c", PARENT, str(file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as parent:
        assert parent.stdout is not None
        host, port = parent.stdout.readline().decode().strip().removeprefix("http://").split(":")
        socket.create_connection((host, int(port)), timeout=5).close()
        parent.kill()
    ends = time.monotonic() + 5
    while time.monotonic() < ends:
        try:
            socket.create_connection((host, int(port)), timeout=5).close()
        except ConnectionRefusedError:
            return
        time.sleep(0.05)
    pytest.fail(f"port {port} is still served")


def test_it_ends_with_its_block_however_that_ends() -> None:
    """An error in the block ends the process and is passed on."""
    with pytest.raises(ZeroDivisionError), Simulator.start(config()) as sim:
        raise ZeroDivisionError
    assert sim.process.returncode is not None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"suppliers": None}, "suppliers is None, not a list"),
        ({"buyer": []}, r"\['buyer'\] are unknown"),
        ({"duplicate_style": "never"}, "write 409 or later"),
        ({"suppliers": [{"anid": "AN1"}]}, r"suppliers\[0\]: \['shared_secret'"),
        ({"suppliers": []}, "who are not among the suppliers"),
        ({"token_seconds": 0}, "token_seconds is 0, not a whole number above 0"),
    ],
)
def test_a_wrong_configuration_is_named(change: dict[str, object], words: str) -> None:
    """The simulator does not start, and says which place of which file is wrong."""
    with pytest.raises(SimulatorFailed, match=words), Simulator.start(config(**change)):
        pytest.fail("it started")


def test_the_demo_configuration_starts() -> None:
    """The network of the demo can be started as it is."""
    with Simulator.start(FOLDER / "demo.json") as sim:
        assert {"ok": True} == sim.control("GET", "healthz")


def test_it_speaks_tls(tmp_path: Path) -> None:
    """With a certificate the portal's port speaks HTTPS, and the profile says so."""
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*command, *names, "-keyout", str(key), "-out", str(cert)], check=True, capture_output=True)
    with Simulator.start(config(), tls=(cert, key)) as sim:
        context = ssl.create_default_context(cafile=str(cert))
        connection = http.client.HTTPSConnection(sim.url.removeprefix("https://"), context=context, timeout=5)
        connection.request("POST", PATH, PROFILE, {"Content-Type": XML})
        body = connection.getresponse().read()
        connection.close()
    assert f"<URL>{sim.url}{PATH}</URL>".encode() in body


def test_it_is_fast_enough_to_be_no_bottleneck() -> None:
    """A few hundred invoices over kept-alive connections take no more than a few milliseconds each."""
    with Simulator.start(config()) as sim:
        began = time.monotonic()
        for i in range(100):
            assert 200 == send(sim, invoice(f"INV-{i}", quantity="1", total="12.50")).code
        assert time.monotonic() - began < 5
