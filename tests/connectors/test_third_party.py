"""A connector that comes in a package of its own inherits the suite as ours do."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
_FILES = {
    "acme.py": """\
from connectors.manual.connector import ManualConnector

class AcmeConnector(ManualConnector):
    pass
""",
    "acme_stand.py": """\
from contextlib import contextmanager
from pathlib import Path
from acme import AcmeConnector
from conformance import Stand

HERE = Path(__file__).parent

class AcmeStand(Stand):
    connector = AcmeConnector
    name = "acme"
    unique = (True,)
    @classmethod
    @contextmanager
    def open(cls):
        yield cls()
    def settings(self, *, timeout=20):
        return {}
    def hub_yaml(self):
        return {
            "rules": str(HERE / "rules"),
            "mappings": str(HERE / "mappings"),
            "entities": {"us": {"name": "Kestrel", "identifiers": {"tax": "84-5550007"}}},
            "customers": {"vale": {"name": "Vale", "identifiers": {"legal": "36-5550177"}}},
            "accounts": {"vale-us": {"entity": "us", "customer": "vale", "connection": "portal"}},
        }
    def account(self, *, unique):
        return "vale-us"
    @classmethod
    def invoice(cls, *, unique):
        return {
            "currency": "USD",
            "seller": {"name": "Kestrel", "tax_id": "84-5550007"},
            "buyer": {"name": "Vale", "legal_id": {"value": "36-5550177"}},
            "taxes": [{"category": "S", "rate": "5"}],
            "lines": [{"name": "Bearing"}],
        }
    def reset(self):
        pass
    def held(self, number):
        return []
""",
    "test_acme.py": """\
from acme_stand import AcmeStand
from conformance import Conformance

class TestAcme(Conformance):
    Stand = AcmeStand
""",
    "rules/acme/default.yaml": """\
rules_for: {portal: acme}
require:
  - {id: acme.buyer, field: buyer.name, required: true, message: no name, fix: name it, source: ours,
     checked_on: 2026-11-01}
""",
    "mappings/acme/default.yaml": """\
mapping_for: {portal: acme}
map:
  Number: {from: shown_number}
  To be paid: {from: totals.payable}
lines: {each: lines, map: {Item: {from: "lines[].name"}}}
""",
}


def test_a_connector_from_another_package_inherits_the_suite(tmp_path: Path) -> None:
    """With this folder on the path and `-p conformance`: its own name, rules and mapping, and the hub killed on it."""
    for name, content in _FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content, encoding="utf-8")
    options = ["-q", "-p", "conformance", "-p", "no:cacheprovider", "--strict-markers"]
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", *options, "-k", "keys_it_in or killed or not_declared or cyrillic", tmp_path],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(TESTS)},
        capture_output=True,
        timeout=300,
        check=False,
    )
    assert pytest.ExitCode.OK == ran.returncode, ran.stdout.decode() + ran.stderr.decode()
    assert "4 passed" in ran.stdout.decode()
