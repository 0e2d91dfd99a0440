# SPDX-License-Identifier: Apache-2.0
"""The bench: datasets and models of a study, each made once, in a home of its own."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from trueup.core.clock import from_us
from trueup.core.protocols import Predictor, TrainJob
from trueup.core.references import Ref
from trueup.core.values import to_json
from trueup.loop.fits import fit_of
from trueup.study.past import Frozen

if TYPE_CHECKING:
    from trueup.data import Recipe
    from trueup.loop import Loop
    from trueup.store import Ledger

KIND = "study_training"


@dataclass(frozen=True, slots=True)
class Fit:
    """A training: its model, the id of its dataset, its rows, and what it took in seconds.

    `model` is None, and `reason` says why, where there was nothing to learn from, or it failed. `at` is
    its moment, `onto` the key of the training that it went on from, and `rebased` when the first of
    that lineage began (microseconds since 1970).
    """

    key: str
    model: Ref | None
    snapshot: str | None
    rows: int
    seconds: float
    reason: str = ""
    at: int = 0
    onto: str | None = None
    rebased: int = 0


class Bench:
    """Builds datasets by a recipe as of a moment, and trains on them; what was done is kept.

    Labels count from the moment at which they became known: a dataset as of `now` holds no label
    that came later. A training has the key that live trainings have (trainer, rows, seed), so that
    several policies, and a study that is run again, share it. `isolate` trains in a process of its
    own, within the loop's budget, as a live training does; without it trainings run in this process:
    faster by a second or two each, with no limits. A trainer with `start="champion"` goes on from what
    serves, on the rows that this could not see, as it does in the loop.
    """

    def __init__(
        self, loop: Loop, source: Ledger, scratch: Ledger, *, base: Path | None = None, isolate: bool = True
    ) -> None:
        self.loop, self.base, self.isolate = loop, base, isolate
        self.past = Frozen(source, scratch)
        self.made = self.shared = 0
        self._base: Ref | None = None
        self._seen: dict[tuple[str, int, str, int], Fit] = {}
        self._models: dict[str, Predictor] = {}

    def fit(self, recipe: Recipe, now: int, serving: Fit | None = None) -> Fit:
        """The training that would have run at `now` (microseconds since 1970) while `serving` served."""
        onto = self._onto(serving, now)
        key = (repr(recipe), now, onto.key if onto else "", onto.at if onto else 0)
        if key in self._seen:
            self.shared += 1
            return self._seen[key]
        snapshot, refusal = self.dataset(recipe, now, onto)
        if snapshot is not None and onto is not None and self._unknown(snapshot, onto):
            onto = None
            snapshot, refusal = self.dataset(recipe, now)
        if snapshot is None:
            made = Fit("", None, None, 0, 0.0, refusal or "")
        else:
            made = self._train(snapshot, onto)
        made = replace(made, at=now, onto=onto.key if onto else None, rebased=onto.rebased if onto else now)
        self._seen[key] = made
        return made

    def _onto(self, serving: Fit | None, now: int) -> Fit | None:
        """What a training goes on from, where its trainer does; None where it starts anew."""
        from trueup.train import goes_on

        trainer = self.loop.trainer
        if serving is None or serving.model is None or not goes_on(trainer):
            return None
        every = getattr(trainer, "rebase_every", None)
        return None if every is not None and from_us(now) - from_us(serving.rebased) >= every else serving

    def _unknown(self, snapshot: Any, onto: Fit) -> bool:
        """Whether there are labels that the model to go on from does not know."""
        from trueup.loop.lineage import unknown
        from trueup.models import read_manifest

        assert onto.model is not None
        labels = read_manifest(self.past.artifacts.path(onto.model)).labels
        return bool(unknown(self.loop, snapshot, list(labels) if labels else None))

    def dataset(self, recipe: Recipe, now: int, onto: Fit | None = None) -> tuple[Any, str | None]:
        """The Snapshot as of `now`, of the rows that `onto` could not see, or why there is none."""
        from trueup.core.errors import DataError
        from trueup.data import GoldenSet, build

        loop = self.loop
        ledger = cast("Ledger", self.past)
        known = {"loop": loop.name, "target": loop.label.name, "cut": self.past.at, "now_us": now, "seed": loop.seed}
        try:
            golden = [one.load() if isinstance(one, GoldenSet) else one.items(ledger, **known) for one in loop.golden()]
        except DataError as error:
            return None, error.message
        more: dict[str, Any] = {} if onto is None else {"after_us": onto.at, "parents": [onto.snapshot]}
        built = build(recipe, ledger, golden=golden, fit=fit_of(loop), **known, **more)  # type: ignore[arg-type]
        return built.snapshot, built.refusal

    def rows(self, ident: str) -> Any:
        """The training rows of a dataset that was made here."""
        from trueup.data import snapshot

        return snapshot.load(cast("Ledger", self.past), ident, self.loop.name).rows()

    def model(self, fit: Fit) -> Predictor:
        """The model of a training, loaded once; the loop's own code is trusted, as its file is."""
        from trueup.models import load

        assert fit.model is not None
        if fit.key not in self._models:
            self._models[fit.key] = load(self.past.artifacts.path(fit.model), trust_code=True)
        return self._models[fit.key]

    def _train(self, snapshot: Any, onto: Fit | None) -> Fit:
        from trueup.train.run import job_key

        loop = self.loop
        job = TrainJob(
            loop=loop.name, trainer=to_json(loop.trainer, self.base), data=snapshot.data,
            output=loop.task.answers, seed=loop.seed, budget=loop.budget, init=onto.model if onto else None,
            base=self._frozen(),
        )
        key, rows = job_key(job), int(snapshot.manifest["rows"]["total"])
        found = self.past.scratch.get(loop.name, KIND, key)
        if found is not None:
            self.shared += 1
            return Fit(key, Ref.from_json(found["model"]), snapshot.id, rows, found["seconds"])
        self.made += 1
        model, seconds, reason = self._apart(job) if self.isolate else self._here(job)
        if model is None:
            return Fit(key, None, snapshot.id, rows, seconds, reason)
        self.past.put(loop.name, KIND, key, {"model": model.to_json(), "seconds": seconds})
        return Fit(key, model, snapshot.id, rows, seconds)

    def _frozen(self) -> Ref | None:
        """The frozen model that adapters are trained on: the trainer's own, or else the model that the loop
        begins with; None for trainers that need none. Raises DefinitionError where there is neither."""
        trainer = self.loop.trainer
        if not trainer.capabilities.base:
            return None
        if self._base is None:
            from trueup.core.errors import DefinitionError
            model = getattr(trainer, "base", None) or self.loop.champion
            if model is None:
                raise DefinitionError(
                    f"expected the model that {type(trainer).__name__} trains on, got none",
                    cure="name it in the trainer, or as the loop's first champion: Loop(champion=LocalModel(path))",
                )
            with tempfile.TemporaryDirectory(dir=self.past.home) as folder:
                model.write(Path(folder), self.loop.task.answers)
                self._base = self.past.artifacts.put_tree(Path(folder))
        return self._base

    def _apart(self, job: TrainJob) -> tuple[Ref | None, float, str]:
        from trueup.train import run

        done = run(job, self.past.artifacts, workdir=self.past.home / "work", retries=0, base=self.base, price=self.loop.price)
        return done.model, sum(attempt.seconds for attempt in done.attempts), done.result.reason

    def _here(self, job: TrainJob) -> tuple[Ref | None, float, str]:
        for package, _ in getattr(self.loop.trainer, "requires", ()):
            import_module(package)  # the first training would pay for it, and seem dear
        local = replace(job, data=self._local(job.data), init=self._local(job.init) if job.init else None, base=self._local(job.base) if job.base else None)
        with tempfile.TemporaryDirectory(dir=self.past.home) as folder:
            began = time.perf_counter()
            result = self.loop.trainer.fit(local, _Quiet(Path(folder)))
            seconds = time.perf_counter() - began
            if result.model is None:
                return None, seconds, result.reason or result.status
            return self.past.artifacts.put_tree(result.model), seconds, ""

    def _local(self, ref: Ref) -> Ref:
        return ref.at(self.past.artifacts.path(ref))


class _Quiet:
    """Where a training in this process works; nobody watches."""

    starved = 0

    def __init__(self, workdir: Path) -> None:
        self.workdir, self.checkpoints = workdir, workdir / "checkpoints"

    def report(self, step: int, total: int, **metrics: float) -> None: ...

    def should_stop(self) -> bool:
        return False
