# SPDX-License-Identifier: Apache-2.0
"""The service in words, for `status`: read from its board and its lock, light."""

from __future__ import annotations

from typing import Any


def held(service: dict[str, Any] | None) -> str:
    """Who holds the home, in a line."""
    if service is None:
        return "no service runs here: trueup up loop.py"
    return "service: process {pid} on {host} since {since}: {command}".format(
        **{key: service.get(key, "?") for key in ("pid", "host", "since", "command")}
    )


def loop_lines(facts: dict[str, Any]) -> list[str]:
    """What a loop does, what is wrong with it, and what its next look would do."""
    text = doing(facts)
    would = facts.get("would")
    if would:
        word = {True: "would train: ", False: "would rest: ", None: ""}[would.get("trains")]
        text.append(f"a look at {str(would['at'])[11:19]} UTC {word}{would['reason']}"[:300])
    return text


def projection_lines(service: dict[str, Any] | None) -> list[str]:
    """What follows the ledger and fails to."""
    return [
        f"{name} has failed {facts['tries']} times, at last {str(facts['at'])[11:19]} UTC: {facts['error']}"
        for name, facts in sorted((service or {}).get("projections", {}).items())
    ]


def doing(facts: dict[str, Any]) -> list[str]:
    """What a loop does, and what is wrong with it, in words."""
    found = []
    if facts.get("doing"):
        at = facts["doing"]
        far = f" {at['done']:,} of {at['total']:,}" if at["total"] else ""
        found.append(f"at work: {at['what']}{far}, since {at['since'][11:19]} UTC")
    if facts.get("waits"):
        found.append(f"waits: {facts['waits']}")
    if facts.get("broken"):
        found.append(f"its file is broken, the last good one goes on: {facts['broken']}")
    if facts.get("error"):
        error = facts["error"]
        found.append(f"{error['what']} has failed {error['tries']} times, at last {error['at'][11:19]} UTC: {error['error']}")
        if error.get("cure"):
            found.append(f"  cure: {error['cure']}")
    return found
