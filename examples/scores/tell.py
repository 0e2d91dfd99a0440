# SPDX-License-Identifier: Apache-2.0
"""Scores of another tool, as signals of a loop: ... | python tell.py LOOP (in Trueup's environment)."""

import json
import sys

from trueup import connect

with connect(sys.argv[1]) as client:
    for line in sys.stdin:
        said = json.loads(line)
        client.signal(said["name"], value=said["value"])
