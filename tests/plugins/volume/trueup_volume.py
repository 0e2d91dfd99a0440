# SPDX-License-Identifier: Apache-2.0
"""A stage of another package: wait until enough requests have been answered without an error."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from trueup.core.facts import Fact, Note
from trueup.core.values import value
from trueup.release import Evidence, Ruling, Scene, Terms, Traits, evidence
from trueup.release.stage import gather


@evidence
class VolumeEvidence(Evidence):
    name = "volume"

    def rows(self, ledger: Any, loop: str, parameters: dict[str, Any], cut: int, now: int) -> dict[str, Any]:
        seen = ledger.scan(loop, "interaction", cut=cut).to_pylist()
        kept = [[row["unit"], row["error"] is None] for row in seen if parameters["since"] <= row["ts"] <= now]
        return {"rows": kept}

    def verdict(self, rows: dict[str, Any], parameters: dict[str, Any], now: int) -> dict[str, Any]:
        good = sum(fine for _, fine in rows["rows"])
        return {"units": len(rows["rows"]), "good": good, "enough": good >= parameters["least"], "invalid": None}

    def passes(self, result: dict[str, Any], parameters: Any, now: int) -> bool:
        return not result["invalid"] and bool(result["enough"])

    def private(self, rows: dict[str, Any], hide: Callable[[Any], str]) -> dict[str, Any]:
        return {"rows": [[hide(unit), fine] for unit, fine in rows["rows"]]}

    def facts(self, result: dict[str, Any], parameters: Any) -> tuple[Fact, ...]:
        return (Note("volume.seen", {"good": result["good"], "least": parameters["least"]}, "{good} good requests of {least} wanted"),)

    def summary(self, result: dict[str, Any], parameters: Any) -> Note:
        return Note("volume.summary", {"good": result["good"]}, "volume: {good} good requests")

    def counterfactual(self, rows: dict[str, Any], parameters: dict[str, Any], now: int) -> Note:
        k = abs(sum(fine for _, fine in rows["rows"]) - parameters["least"]) + 1
        return Note("volume.turned", {"k": k}, "{k} failed requests more would have held it")


@value("stage.volume")
class Volume(Traits):
    """Pass after `least` requests without an error."""

    evidence = "volume"

    least: int = 50

    def enter(self, scene: Scene) -> dict[str, Any]:
        return {"since": scene.now, "least": self.least}

    def rule(self, scene: Scene) -> Ruling:
        result, evidence = gather(scene, "volume", scene.release.parameters)
        return Ruling("PASS" if result["enough"] else "HOLD", f"{result['good']} good requests", evidence)

    def problems(self, terms: Terms) -> list[str]:
        return []
