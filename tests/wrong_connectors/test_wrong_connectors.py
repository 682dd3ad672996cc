"""A connector that can send twice, lose an invoice or show what is not known does not pass the suite."""

from __future__ import annotations

import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

_HERE = Path(__file__).resolve().parent
_SUITE = _HERE / "suite.py"

# The checks that are meant to catch each of them.
MEANT = {
    "RetryOnError": {
        "test_a_submit_is_at_most_one_request[drop_before_commit]",
        "test_a_submit_is_at_most_one_request[500_after_commit]",
        "test_a_submit_is_at_most_one_request[html_page]",
    },
    "OptimisticStatus": {
        "test_an_unknown_word_moves_nothing",
        "test_a_yes_to_the_transmission_is_not_acceptance",
    },
    "NoneOnError": {
        "test_could_not_ask_is_never_absent[html_page]",
        "test_could_not_ask_is_never_absent[401_in_body]",
        "test_a_fault_is_told_as_it_is[drop_before_commit]",
        "test_a_login_page_in_the_middle_is_no_answer[login_page-find]",
        "test_every_fault_ends_in_one_invoice_or_one_task[drop_before_commit]",
    },
}
GLANCE = {"test_good_credentials_are_proved", "test_what_was_submitted_is_found"}  # what all of them pass


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, bool]]:
    """Whether each check passed, by connector: the same ones for all."""
    report = tmp_path_factory.mktemp("wrong") / "report.xml"
    checks = sorted(GLANCE.union(*MEANT.values()))
    nodes = [f"{_SUITE}::Test{name}::{check}" for name in ("Honest", *MEANT) for check in checks]
    paths = [str(_HERE.parent), str(_HERE)]
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junit-xml={report}", "--tb=no", *nodes],
        cwd=_HERE.parents[1],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        timeout=300,
        check=False,
    )
    assert pytest.ExitCode.TESTS_FAILED == ran.returncode, ran.stdout.decode() + ran.stderr.decode()
    told: dict[str, dict[str, bool]] = {}
    for case in ET.parse(report).iter("testcase"):  # noqa: S314 - pytest wrote it
        assert case.find("error") is None
        assert case.find("skipped") is None
        told.setdefault(case.get("classname", "").rpartition(".Test")[2], {})[case.get("name", "")] = (
            case.find("failure") is None
        )
    return told


def test_the_honest_one_passes(results: dict[str, dict[str, bool]]) -> None:
    """So that a check that fails everybody proves nothing."""
    assert {True} == set(results["Honest"].values())
    assert results["Honest"].keys() == GLANCE.union(*MEANT.values())


@pytest.mark.parametrize("name", MEANT)
def test_a_wrong_connector_fails_where_it_is_meant_to(results: dict[str, dict[str, bool]], name: str) -> None:
    """In every check that is about its fault, though it passes a glance."""
    failed = {check for check, passed in results[name].items() if not passed}
    assert MEANT[name] <= failed
    assert GLANCE.isdisjoint(failed)
