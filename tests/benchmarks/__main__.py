"""`python -m tests.benchmarks [--json] [NAME …]`: run benchmarks and print a table, or one JSON object a line."""

from __future__ import annotations

import argparse
import json
import sys

from tests.benchmarks import day, deliver, gate, kill, pipeline
from tests.benchmarks.result import Result, table

BENCHMARKS = {
    "pipeline": pipeline.run,
    "deliver_c1": deliver.c1,
    "deliver_c16": deliver.c16,
    "deliver_c64": deliver.c64,
    "deliver_c16_pg": deliver.c16_pg,
    "gate": gate.run,
    "day": day.run,
    "kill": kill.run,
}


def main() -> int:
    """Run what is named, or all."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHMARKS))
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    chosen = parser.parse_args()
    unknown = [name for name in chosen.names if name not in BENCHMARKS]
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}; known are {', '.join(BENCHMARKS)}")
    results: list[Result] = []
    for name in chosen.names or BENCHMARKS:
        for result in BENCHMARKS[name]():
            results.append(result)
            if chosen.json:
                print(json.dumps(result.as_json()), flush=True)
    if not chosen.json:
        print(table(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
