"""Crash points: where the process may die, and what becomes of an invoice when it does."""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
# The portals in memory and the houses of tests/delivery are used here as they are used there: by their own names.
for _folder in (ROOT / "tests", ROOT / "tests" / "delivery"):
    if str(_folder) not in sys.path:
        sys.path.insert(0, str(_folder))
