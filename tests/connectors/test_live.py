"""`--live ACCOUNT`: the suite against a sandbox, for which a simulator behind a real workspace stands in here."""

from __future__ import annotations

import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

from workbench import make_bench, network

from hub import demo
from hub.simulators.client import Simulator

_HERE = Path(__file__).resolve().parent
_SUITES = [_HERE / name / f"test_{name}_conformance.py" for name in ("ariba", "manual")]


def live(*arguments: object, report: Path) -> tuple[int, str, dict[str, str]]:
    """The suites by the command line; its exit status, what it said, and what became of each check."""
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", f"--junit-xml={report}"]
        + [str(argument) for argument in (*_SUITES, *arguments)],
        cwd=_HERE.parents[1],
        capture_output=True,
        timeout=300,
        check=False,
    )
    told = {}
    for case in ET.parse(report).iter("testcase"):  # noqa: S314 - pytest wrote it
        ended = next((what for what in ("failure", "error", "skipped") if case.find(what) is not None), "passed")
        told[f"{case.get('classname', '').rpartition('.')[2]} {case.get('name')}"] = ended
    return ran.returncode, ran.stdout.decode() + ran.stderr.decode(), told


def test_the_suite_runs_against_a_sandbox_account(tmp_path: Path) -> None:
    """What is safe there passes, the rest says why it skips; its ledger is not touched, and each number is new."""
    with Simulator.start(network()) as sim:
        bench = make_bench(tmp_path / "workspace", sim)
        before = {path for path in bench.folder.rglob("*") if path.is_file()}
        status, said, told = live(
            "--live", "meridian-de", "--live-workspace", bench.folder, report=tmp_path / "report.xml"
        )
        numbers = [document["number"] for document in sim.documents()]
    assert (0, {"passed", "skipped"}) == (status, set(told.values())), said
    passed = {name for name, ended in told.items() if ended == "passed"}
    assert {
        "TestAriba test_good_credentials_are_proved",
        "TestAriba test_absent_is_an_empty_list",
        "TestAriba test_what_was_submitted_is_found",
        "TestAriba test_a_poll_can_be_made_and_continued",
        "TestAriba test_prepared_by_another_process_it_is_the_same",
        "TestAriba test_a_connector_may_be_closed_twice",
    } <= passed
    assert "TestAriba test_a_duplicate_is_recognised" not in passed
    assert "a real portal cannot be told to do this" in said
    assert "meridian-de is an account of ariba" in said
    assert [] == [name for name in passed if "TestManual" in name]
    assert 1 == len(numbers)
    assert numbers[0].startswith("HUB-")
    assert before == {path for path in bench.folder.rglob("*") if path.is_file()}


def test_an_account_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    """A slip of the pen is told, and never runs against simulators instead."""
    demo._set_up(tmp_path, "http://127.0.0.1:9")
    status, said, _ = live(
        "--live", "nobody", "--live-workspace", tmp_path, "-k", "good_credentials", report=tmp_path / "report.xml"
    )
    assert 1 == status
    assert "no account 'nobody'; there are cascadia-us, meridian-de, oakhurst-us" in said
