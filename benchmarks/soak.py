# SPDX-License-Identifier: Apache-2.0
"""Two years of nightly looks on a simulated clock: seconds a look, memory, bytes, `trueup status`.

    python benchmarks/soak.py                        # two years and a million events
    python benchmarks/soak.py --nights 60 --units 100

A toy loop whose world changes every 90 days: it trains, proves, releases and promotes all the time.
Its peer is itself: a night in the last quarter beside one in the second, memory at the end beside
that of the first quarter. Exit 1 where a bound of docs/benchmarks.md does not hold.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from trueup.core.memory import settle
from trueup.lab.soak import GROWN, LOOK_BYTES, STATUS, soak


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nights", type=int, default=730)
    parser.add_argument("--units", type=int, default=900)
    given = parser.parse_args()

    def say(what: str, done: int, total: int) -> None:
        if what == "nights" and done % 50 == 0:
            print(f"{done} of {total} nights", file=sys.stderr, flush=True)

    settle()  # as `up` does
    with tempfile.TemporaryDirectory() as folder:
        made = soak(Path(folder), nights=given.nights, units=given.units, progress=say)
        print(json.dumps(made.to_json(), indent=2))
    wrong = [
        words for holds, words in (
            (made.grown <= GROWN, f"memory grew by {made.grown / 1e6:.0f} MB, at most {GROWN / 1e6:.0f}"),
            (made.last_look_bytes <= LOOK_BYTES, f"a look took {made.last_look_bytes} bytes, at most {LOOK_BYTES}"),
            (made.status_seconds <= STATUS, f"status took {made.status_seconds:.2f} s, at most {STATUS}"),
        ) if not holds
    ]
    print("\n".join(wrong) or "every bound holds")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
