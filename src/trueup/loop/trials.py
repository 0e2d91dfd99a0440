# SPDX-License-Identifier: Apache-2.0
"""An experiment in plain words: effect with interval, method, level, segments, what was checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from trueup.core.parameters import Parameter
from trueup.core.values import from_json
from trueup.state import definition

if TYPE_CHECKING:
    from trueup.store import Ledger


def declared_parameters(ledger: Ledger, loop: str) -> tuple[Parameter, ...]:
    """The parameters that the loop's last definition declares for its candidates."""
    found = definition(ledger, loop)
    declared = found[1]["task"].get("parameters", []) if found else []
    return tuple(from_json(one) for one in declared)


def experiment_lines(result: Mapping[str, Any], parameters: Mapping[str, Any]) -> list[str]:
    """An A/B or a bandit, for people."""
    outcome = parameters["outcome"]
    name = outcome["name"]
    lines = [f"  hypothesis: {parameters['hypothesis']}"] if parameters["hypothesis"] else []
    lines.append(
        f"  {name}, a {parameters['unit'] or 'unit'} scored once on [0, 1]: {result['complete']:,} complete of "
        f"{result['units']:,} assigned ({result['matured']:,} past their window)"
    )
    for arm, one in result["arms"].items():
        mean = "-" if one["mean"] is None else f"{one['mean']:.4f}"
        lines.append(f"  {arm}: {mean} on {one['complete']:,} of {one['units']:,} units ({_share(one, result):.0%} of all)")
    for arm, test in result["tests"].items():
        effect = "" if test["effect"] is None else f"{test['effect']:+.4f}"
        between = "" if test["interval"] is None else f" [{test['interval'][0]:+.4f}, {test['interval'][1]:+.4f}]"
        lines.append(
            f"  {arm} minus champion {effect}{between}: evidence {test['wealth']:.3g} against {test['line']:.3g}, "
            f"{'crossed' if test['promotes'] else 'not crossed'}"
        )
    lines.append(
        f"  method: horizon bet with logged propensities, margin {parameters['margin']:g}, level "
        f"{parameters['level']:.3g}, horizon {parameters['horizon']:,}; missing outcomes: {parameters['missing']}"
    )
    for guard, one in result["harms"].items():
        lines.append(f"  guardrail {guard}: evidence {one['wealth']:.3g} against {one['line']:.3g}")
    for which, ratio in result.get("sample_ratio", {}).items():
        lines.append(f"  sample ratio of {which} units: evidence {ratio['wealth']:.3g} against {ratio['line']:.3g}")
    return lines + segment_lines(result["segments"])


def segment_lines(segments: Mapping[str, Any]) -> list[str]:
    """The parts of the units by each segment, and each arm's mean and units there."""
    lines = []
    for segment, values in segments.items():
        told = "; ".join(
            f"{value} " + ", ".join(f"{arm} {cell['mean']:.3f} ({cell['units']})" for arm, cell in arms.items())
            for value, arms in values.items()
        )
        if told:
            lines.append(f"  by {segment} (reported, decides nothing): {told}")
    return lines


def _share(one: Mapping[str, Any], result: Mapping[str, Any]) -> float:
    return float(one["units"]) / float(max(1, result["matured"]))


def interleaving_lines(result: Mapping[str, Any], parameters: Mapping[str, Any]) -> list[str]:
    """An interleaving, for people."""
    return [
        f"  {parameters['outcome']}: {result['wins']:,} sessions for the challenger, {result['losses']:,} for the "
        f"champion, {result['ties']:,} ties ({parameters['method']})",
        f"  evidence {result['wealth']:.3g} against {1 / parameters['level']:.3g}: credit, not the outcome of the loop",
    ]
