# SPDX-License-Identifier: Apache-2.0
"""Making MLflow equal to a projection: look first, then make what is missing and set what differs.

Everything is found again by a tag that is written together with it, so that a kill between any two
requests leaves nothing that the next publishing would make twice.
"""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trueup.core.errors import Refused, TrueupError
from trueup.core.json import digest, dumps
from trueup.registry._mlflow import TAG, discard, local_file, registered, versions
from trueup.registry.projection import ALIASES, Projection, Training, Version
from trueup.registry.publish import Change, Published, Say

if TYPE_CHECKING:
    from trueup.registry.mlflow import Mlflow
    from trueup.store import Ledger

LONG = 4_900
_ODD = re.compile(r"[^\w./ :-]")


class Sync:
    """One publishing."""

    def __init__(
        self, part: Mlflow, client: Any, ledger: Ledger, shown: Projection, last: Mapping[str, Any],
        *, thorough: bool, dry: bool, say: Say,
    ) -> None:
        self.part, self.client, self.ledger, self.shown = part, client, ledger, shown
        self.thorough, self.dry, self.say = thorough, dry, say
        self.experiment = part.experiment or shown.loop
        self.model = part.model or shown.loop
        self.last = last
        self.changes: list[Change] = []
        self.end = None if thorough or dry else time.monotonic() + part.budget

    def run(self) -> Published:
        """Compare and change."""
        found = self._experiment()
        if found is None:
            return all_new(self.shown, self.part.target(self.ledger))
        ident, epoch = found
        known = self.last if self.last.get("epoch") == epoch else {}
        self._trainings(ident, 0 if self.thorough else self._cursor(known))
        there = self._versions(ident)
        aliases = self._aliases(there, known)
        trainings = self.shown.trainings
        return Published(self.part.target(self.ledger), tuple(self.changes), shown={
            "epoch": epoch, "trainings": len(trainings), "training": trainings[-1].id if trainings else None,
            "versions": len(there), "aliases": aliases,
        })

    def _cursor(self, known: Mapping[str, Any]) -> int:
        """How many trainings stand there for sure."""
        count = known.get("trainings") or 0
        fits = 0 < count <= len(self.shown.trainings) and self.shown.trainings[count - 1].id == known.get("training")
        return count if fits else 0

    def _tick(self, what: str, done: int, total: int) -> None:
        self.say(f"mlflow: {what}", done, total)
        if self.end is not None and time.monotonic() > self.end:
            raise TrueupError(
                f"expected to be done within {self.part.budget:g} s, got to {what} {done} of {total}",
                cure="the next publishing goes on from there; Mlflow(budget=...) gives it more time",
            )

    def _changed(self, what: str, name: str, words: str, *, moved: bool = False) -> bool:
        """Note a change; whether to make it."""
        self.changes.append(Change(what, name, words, moved))
        return not self.dry

    # -- the experiment -------------------------------------------------------------------------

    def _experiment(self) -> tuple[str, str] | None:
        """The experiment's id, and what tells this database from one made again; None in a dry run
        where there is none."""
        tag, chain = f"trueup.chain.{self.shown.loop}", self.shown.chain
        found = self.client.get_experiment_by_name(self.experiment)
        if found is None:
            if self.dry:
                return None
            path = local_file(self.part.place(self.ledger.home))
            store = None if path is None else (path.parent / "artifacts").absolute().as_uri()
            ident = self.client.create_experiment(self.experiment, artifact_location=store, tags={tag: chain})
            found = self.client.get_experiment(ident)
            self._changed("experiment", self.experiment, "made")
        if found.lifecycle_stage != "active":
            raise Refused(
                f"expected an active experiment {self.experiment!r} in MLflow, got a deleted one",
                cure="restore it there, or name another: Mlflow(experiment=...)",
            )
        self._ours(found.tags.get(tag), f"experiment {self.experiment!r}", "experiment")
        if found.tags.get(tag) is None and not self.dry:
            self.client.set_experiment_tag(found.experiment_id, tag, chain)
        return str(found.experiment_id), f"{found.experiment_id}:{found.creation_time}"

    def _ours(self, chain: str | None, what: str, field: str) -> None:
        if chain is not None and chain != self.shown.chain:
            raise Refused(
                f"expected the {what} of this home's {self.shown.loop}, got that of another home (its first Decision "
                f"is {chain}, ours {self.shown.chain})",
                cure=f"name another: Mlflow({field}=...), or delete it in MLflow",
            )

    # -- runs -----------------------------------------------------------------------------------

    def _trainings(self, experiment: str, start: int) -> None:
        left = self.shown.trainings[start:]
        for at, one in enumerate(left):
            self._tick("run", at, len(left))
            found = self.client.search_runs(
                [experiment], f"tags.`trueup.training` = '{one.id}' and tags.`trueup.loop` = '{self.shown.loop}'",
                max_results=10, order_by=["attributes.start_time ASC"],
            )
            for double in found[1:]:
                if self._changed("run", one.id, "a second one of the same training is deleted"):
                    self.client.delete_run(double.info.run_id)
            self._training(experiment, one, found[0] if found else None)

    def _training(self, experiment: str, one: Training, run: Any | None) -> None:
        content = digest([one.metrics, one.params, one.tags, one.dataset and one.dataset.digest])[:16]
        if run is not None and run.data.tags.get("trueup.published") == content:
            return
        if not self._changed("run", one.id, "made" if run is None else "completed"):
            return
        from mlflow.entities import Metric, Param, RunTag

        if run is None:
            key = {name: one.tags[name] for name in ("trueup.loop", "trueup.training")}
            run = self.client.create_run(
                experiment, start_time=one.started // 1000, tags=key, run_name=one.tags.get(TAG) or one.id
            )
        ident, at = run.info.run_id, one.ended // 1000
        self._batches(ident, "metrics", [Metric(_name(name), number, at, 0) for name, number in one.metrics.items()])
        self._batches(ident, "params", [
            Param(_name(name), _short(text)) for name, text in one.params.items() if _name(name) not in run.data.params
        ])
        self._batches(ident, "tags", [RunTag(name, _short(text)) for name, text in one.tags.items()])
        self._dataset(ident, one)
        self.client.set_terminated(ident, "FINISHED" if one.done else "FAILED", end_time=at)
        self.client.set_tag(ident, "trueup.published", content)  # last: only now it is whole

    def _batches(self, run: str, what: str, items: list[Any]) -> None:
        for start in range(0, len(items), 100):
            self.client.log_batch(run, **{what: items[start : start + 100]})

    def _dataset(self, run: str, one: Training) -> None:
        if one.dataset is None:
            return
        from mlflow.entities import Dataset, DatasetInput, InputTag

        data = Dataset(
            one.dataset.id, one.dataset.digest[:32], "local",
            dumps({"uri": one.dataset.uri, "snapshot": one.dataset.id, "sha256": one.dataset.digest}),
            profile=dumps({"num_rows": one.dataset.rows}),
        )  # fmt: skip
        self.client.log_inputs(run, [DatasetInput(data, [InputTag("mlflow.data.context", "training")])])

    # -- models ---------------------------------------------------------------------------------

    def _versions(self, experiment: str) -> dict[str, str]:
        """Candidate to version number, all of them made or set."""
        model = registered(self.client, self.model)
        chain = {"trueup.chain": self.shown.chain, "trueup.loop": self.shown.loop}
        if model is None:
            if self._changed("model", self.model, "made"):
                self.client.create_registered_model(self.model, tags=chain)
        elif model.tags.get("trueup.chain") is None:
            self._adopt(chain, model.tags.get("trueup.loop") == self.shown.loop)
        else:
            self._ours(model.tags["trueup.chain"], f"registered model {self.model!r}", "model")
        there: dict[str, list[Any]] = {}
        all_ = versions(self.client, self.model) if model is not None else []
        for one in all_:
            if one.tags.get(TAG):
                there.setdefault(one.tags[TAG], []).append(one)
        numbers = {}
        for at, shown in enumerate(self.shown.versions):
            self._tick("version", at, len(self.shown.versions))
            mine = there.get(shown.candidate) or _same(shown, all_, self.model)
            for double in mine[1:]:
                if self._changed("version", str(double.version), f"a second one of {shown.candidate} is deleted"):
                    self.client.delete_model_version(self.model, double.version)
            found = mine[0] if mine else self._version(experiment, shown)
            if found is not None:
                self._files(experiment, shown, found)
                self._tags(shown, found)
                numbers[shown.candidate] = str(found.version)
        return numbers

    def _adopt(self, chain: Mapping[str, str], handed_over: bool) -> None:
        """A registered model that somebody made before us: only an empty one, or one that was handed
        over, is taken: its aliases are somebody's."""
        if not handed_over and versions(self.client, self.model):
            raise Refused(
                f"expected a registered model {self.model!r} of this loop, got one that somebody else has filled",
                cure=f"name another: Mlflow(model=...), or hand it over: set its tag trueup.loop to {self.shown.loop}",
            )
        if self._changed("model", self.model, "taken over"):
            for name, text in chain.items():
                self.client.set_registered_model_tag(self.model, name, text)

    def _version(self, experiment: str, shown: Version) -> Any | None:
        if not self._changed("version", shown.candidate, "made"):
            return None
        run = self._run_of(experiment, shown.training)
        logged = self._logged(experiment, shown, run)
        return self.client.create_model_version(
            self.model, source=f"models:/{logged.model_id}", run_id=run.info.run_id if run else None,
            tags=_texts(shown), description=shown.about[:LONG], await_creation_for=0, model_id=logged.model_id,
        )  # fmt: skip

    def _run_of(self, experiment: str, training: str | None) -> Any | None:
        if training is None:
            return None
        found = self.client.search_runs(
            [experiment], f"tags.`trueup.training` = '{training}' and tags.`trueup.loop` = '{self.shown.loop}'",
            max_results=1, order_by=["attributes.start_time ASC"],
        )
        return found[0] if found else None

    def _logged(self, experiment: str, shown: Version, run: Any | None) -> Any:
        """The candidate's LoggedModel: its folder, what it needs to be loaded, and nothing else."""
        found = self.client.search_logged_models(
            [experiment], filter_string=f"tags.`{TAG}` = '{shown.candidate}'", max_results=10
        )
        logged = found[0] if found else self.client.create_logged_model(
            experiment, name=shown.candidate, source_run_id=run.info.run_id if run else None,
            tags={TAG: shown.candidate, "trueup.loop": self.shown.loop, "trueup.model": shown.tags["trueup.model"]},
            model_type="trueup",
        )
        if str(getattr(logged.status, "value", logged.status)) != "READY":
            if shown.model is not None:
                self._upload(logged.model_id, self.ledger.artifacts.path(shown.model))
            logged = self.client.finalize_logged_model(logged.model_id, "READY")
        if run is not None and not self._linked(run.info.run_id, logged.model_id):
            from mlflow.entities import LoggedModelOutput

            self.client.log_outputs(run.info.run_id, [LoggedModelOutput(logged.model_id, 0)])
        return logged

    def _upload(self, model: str, folder: Path) -> None:
        self.client.log_model_artifacts(model, str(folder))
        with tempfile.TemporaryDirectory() as made:
            (Path(made) / "requirements.txt").write_text(_requirements(folder), "utf-8")
            self.client.log_model_artifacts(model, made)

    def _files(self, experiment: str, shown: Version, found: Any) -> None:
        """Delete our copy of a model that was pruned, and bring one again that is back. The tag that
        says pruned comes after it: a kill in between deletes again. What somebody else registered is his."""
        gone = found.tags.get("trueup.pruned") == "true"
        if gone == (shown.model is None) or shown.source is not None:
            return
        if not self._changed("files", shown.candidate, "deleted: it was pruned" if shown.model is None else "brought again"):
            return
        made = self.client.search_logged_models(
            [experiment], filter_string=f"tags.`{TAG}` = '{shown.candidate}'", max_results=10
        )
        for logged in made:
            if shown.model is None:
                discard(self.client, self.part.place(self.ledger.home), logged)
            else:
                self._upload(logged.model_id, self.ledger.artifacts.path(shown.model))

    def _linked(self, run: str, model: str) -> bool:
        outputs = self.client.get_run(run).outputs
        return any(one.model_id == model for one in (outputs.model_outputs if outputs else ()))

    def _tags(self, shown: Version, found: Any) -> None:
        """Set the tags that differ, and take away ours that no longer hold."""
        want, have = _texts(shown), {key: text for key, text in found.tags.items() if key.startswith("trueup.")}
        changed = {key: text for key, text in want.items() if have.get(key) != text}
        gone = [key for key in have if key not in want]
        about = shown.about[:LONG] if (found.description or "") != shown.about[:LONG] else None
        if not (changed or gone or about is not None):
            return
        words = ", ".join(sorted({*changed, *gone})) or "description"
        if not self._changed("tags", f"{shown.candidate} (version {found.version})", f"set: {words}"):
            return
        for key, text in changed.items():
            self.client.set_model_version_tag(self.model, found.version, key, text)
        for key in gone:
            self.client.delete_model_version_tag(self.model, found.version, key)
        if about is not None:
            self.client.update_model_version(self.model, found.version, about)

    # -- aliases --------------------------------------------------------------------------------

    def _aliases(self, there: Mapping[str, str], known: Mapping[str, Any]) -> dict[str, str]:
        """Set what differs; what somebody else has moved is put back, and said."""
        model = registered(self.client, self.model)
        have = {name: str(version) for name, version in ((model.aliases if model else None) or {}).items()}
        names = {version: candidate for candidate, version in there.items()}
        for name in ALIASES:
            wanted = self.shown.aliases.get(name)
            want, got = there.get(wanted or ""), have.get(name)
            if want == got:
                continue
            before = (known.get("aliases") or {}).get(name)
            moved = "aliases" in known and (names.get(got) if got else None) != before
            words = f"{_at(got, names)} -> {_at(want, names)}" + (" (somebody had moved it)" if moved else "")
            if not self._changed("alias", name, words, moved=moved):
                continue
            if want is None:
                self.client.delete_registered_model_alias(self.model, name)
            else:
                self.client.set_registered_model_alias(self.model, name, want)
        return dict(self.shown.aliases)


def all_new(shown: Projection, target: str) -> Published:
    """What would be made where there is nothing yet."""
    made = [Change("run", one.id, "made") for one in shown.trainings]
    made += [Change("version", one.candidate, "made") for one in shown.versions]
    made += [Change("alias", name, f"nobody -> {ident}") for name, ident in shown.aliases.items()]
    return Published(target, tuple(made))


def _same(shown: Version, all_: list[Any], model: str) -> list[Any]:
    """The version that an imported candidate came from, where it stands in the same model."""
    source = shown.source or {}
    if source.get("from") != "mlflow" or source.get("model") != model:
        return []
    return [
        one for one in all_
        if str(one.version) == source.get("version") and int(one.creation_timestamp or 0) == source.get("created")
        and one.tags.get(TAG) in (None, shown.candidate)
    ]  # fmt: skip


def _texts(shown: Version) -> dict[str, str]:
    return {key: _short(text) for key, text in shown.tags.items()}


def _at(version: str | None, names: Mapping[str, str]) -> str:
    return "nobody" if version is None else f"version {version} ({names.get(version, 'not ours')})"


def _name(text: str) -> str:
    """A name that MLflow takes for a metric or a parameter."""
    return _ODD.sub("_", text)[:240]


def _short(text: str) -> str:
    return text if len(text) <= LONG else text[: LONG - 1] + "…"


def _requirements(folder: Path) -> str:
    """What loads the model's format, in the versions of this process."""
    from importlib.metadata import PackageNotFoundError, version

    from trueup.core.version import __version__
    from trueup.models import read_manifest

    needed = {
        "sklearn": ("loop", ["scikit-learn", "skops"]), "xgboost": ("classic", ["xgboost-cpu"]),
        "causal": ("lora", ["torch", "transformers", "safetensors"]),
        "adapter": ("lora", ["torch", "transformers", "peft", "safetensors"]),
    }  # fmt: skip
    extra, packages = needed.get(read_manifest(folder).format, ("loop", []))
    lines = [f"trueup[{extra}]=={__version__}"]
    for name in packages:
        try:
            lines.append(f"{name}=={version(name).partition('+')[0]}")
        except PackageNotFoundError:
            continue
    return "\n".join(lines) + "\n"
