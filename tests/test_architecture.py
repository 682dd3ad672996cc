"""The walls of the house: which way imports point, and what the project says of itself."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# Each part of hub, and the parts that it may import besides itself. Lower parts know nothing of higher ones.
_GROUND = {"contract", "config", "durable"}
_STORE = _GROUND | {"store"}
_REQUIREMENTS = _STORE | {"requirements"}
_SOURCES = _REQUIREMENTS | {"sources"}
_DELIVERY = _SOURCES | {"delivery"}
_ENGINE = _DELIVERY | {"engine"}
_TOP = _ENGINE | {"view", "web", "simulators", "demo", "doctor", "scaffold", "printing"}
ALLOWED = {
    "contract": set(),
    "durable": set(),
    "config": _GROUND,
    "store": _GROUND,
    "requirements": _REQUIREMENTS,
    "sources": _SOURCES,
    "delivery": _DELIVERY,
    "engine": _ENGINE,
    "view": _DELIVERY,
    "web": _DELIVERY | {"view"},
    "printing": _DELIVERY | {"view"},
    "scaffold": _GROUND | {"requirements"},
    "doctor": _DELIVERY | {"scaffold"},
    "demo": _ENGINE | {"simulators"},
    "cli": _TOP,
    "simulators": set(),
}
# Modules beside the folders that belong to a part.
_BELONGS = {
    **dict.fromkeys(
        ("hubfile", "schedule", "timetable", "customers_csv", "identifiers", "secretrefs", "yamlsource"), "config"
    ),
    **dict.fromkeys(("shell", "saying", "auditing", "steering"), "cli"),
}


def _imports(path: Path) -> Iterator[tuple[str, int]]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}:{node.lineno}: relative import; write it whole"
            yield from ((f"{node.module}.{alias.name}", node.lineno) for alias in node.names)


def _part(module: str) -> str:
    name = module.split(".")[1]
    return _BELONGS.get(name, name)


def _files(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def test_imports_in_hub_point_one_way() -> None:
    """No lower part imports a higher one, and a new part must be given its place here."""
    wrong = []
    for path in _files("hub"):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        if module == "hub.__init__":
            continue
        part = _part(module)
        for imported, line in _imports(path):
            if imported.startswith("hub.") and _part(imported) not in ALLOWED[part] | {part}:
                wrong.append(f"{path.relative_to(ROOT)}:{line}: {part} imports {imported}")
    assert [] == wrong


def test_only_the_registry_reaches_connectors() -> None:
    """`hub` knows no portal; the registry is its one door."""
    doors = {
        str(path.relative_to(ROOT))
        for path in _files("hub")
        for imported, _ in _imports(path)
        if imported.split(".")[0] == "connectors"
    }
    assert {"hub/delivery/registry.py"} == doors


def test_connectors_know_only_the_contract() -> None:
    """A connector translates; it cannot reach the ledger, the configuration or another portal's folder."""
    wrong = []
    for path in _files("connectors"):
        portal = path.relative_to(ROOT / "connectors").parts[0]
        for imported, line in _imports(path):
            root, _, rest = imported.partition(".")
            inside = rest.split(".")[0]
            if root == "hub" and inside != "contract":
                wrong.append(f"{path.relative_to(ROOT)}:{line}: {imported}")
            shared = not (ROOT / "connectors" / inside / "connector.py").exists()
            if root == "connectors" and not shared and portal not in {inside, "__main__.py"}:
                wrong.append(f"{path.relative_to(ROOT)}:{line}: {imported}")
    assert [] == wrong


def test_simulators_share_no_code_with_us() -> None:
    """A simulator that used our code would prove nothing."""
    wrong = [
        f"{path.relative_to(ROOT)}:{line}: {imported}"
        for path in _files("hub/simulators")
        for imported, line in _imports(path)
        if imported.split(".")[0] in {"hub", "connectors"} and not imported.startswith("hub.simulators")
    ]
    assert [] == wrong


def test_hub_itself_stays_empty() -> None:
    """Importing `hub` imports nothing."""
    assert "" == (ROOT / "hub" / "__init__.py").read_text(encoding="utf-8")


def test_no_source_file_grows_past_its_story() -> None:
    """Past 400 lines a file wants a split."""
    long = [
        f"{path.relative_to(ROOT)}: {lines}"
        for package in ("hub", "connectors")
        for path in _files(package)
        if "versions" not in path.parts and (lines := len(path.read_text(encoding="utf-8").splitlines())) > 400
    ]
    assert [] == long


def test_every_folder_says_what_lives_there() -> None:
    """A stranger who opens a folder of code finds a README."""
    folders = [
        *(path for path in (ROOT / "hub").iterdir() if (path / "__init__.py").exists()),
        *(path for path in (ROOT / "connectors").iterdir() if (path / "__init__.py").exists()),
        *(ROOT / name for name in ("connectors", "rules", "mappings", "fixtures", "tests", "hub", "hub/decisions")),
    ]
    assert [] == [str(folder.relative_to(ROOT)) for folder in folders if not (folder / "README.md").exists()]


def _tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in listed.stdout.decode().split("\0") if name]


def test_the_lock_names_hashes_and_no_address() -> None:
    """Whoever installs chooses the registry; the lock only says what is allowed in."""
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert "--hash=sha256:" in lock
    assert not [line for line in lock.splitlines() if "://" in line or line.startswith(("-i", "--index", "--find"))]


def test_no_file_of_the_third_party_data_is_in_the_project(shared: Path) -> None:
    """What others wrote is read from where it lies, never committed."""
    theirs = {
        path.read_bytes() for path in (shared / "data").rglob("*") if path.is_file() and path.stat().st_size > 200
    }
    assert [] == [str(path.relative_to(ROOT)) for path in _tracked() if path.is_file() and path.read_bytes() in theirs]
