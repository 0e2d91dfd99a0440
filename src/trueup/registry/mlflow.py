# SPDX-License-Identifier: Apache-2.0
"""MLflow as a projection of the ledger (REG-01, REG-02), and what people mark there (TRG-08).

MLflow itself is imported inside the calls only, with its telemetry off.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trueup.core.errors import DefinitionError
from trueup.core.secrets import Env, File, masked
from trueup.core.values import value

if TYPE_CHECKING:
    from trueup.registry.projection import Projection
    from trueup.registry.publish import Nomination, Published, Say
    from trueup.store import Ledger

VARIABLE = "MLFLOW_TRACKING_URI"


@value("publish.mlflow")
class Mlflow:
    """Show a loop in MLflow: a run a training, its Snapshot as the dataset, a model version a
    candidate, and the aliases champion, challenger, staging-candidate and production-validated. Of
    a candidate that was pruned the version stays, and our copy of its files goes.

    `uri` is a tracking server or a database: a URI without a password, or `Env`, `File` (None:
    `MLFLOW_TRACKING_URI`, else an SQLite file in the home, under `mlflow/`). MLflow's own
    `MLFLOW_TRACKING_USERNAME`, `MLFLOW_TRACKING_PASSWORD` and `MLFLOW_TRACKING_TOKEN` are obeyed.
    `experiment` and `model` name the experiment and the registered model (None: the loop's name).

    With `listen`, a model version that carries this word as an alias, as a tag or as its stage is
    brought in as a candidate, passes the gates like any other, and waits for its release;
    `listen_to` names further registered models to look at. `every` is the least time between two
    looks at a server where nothing has changed here. A request may take `seconds`, a whole
    publishing `budget` seconds.
    """

    uri: str | Env | File | None = None
    experiment: str | None = None
    model: str | None = None
    listen: str | None = None
    listen_to: Sequence[str] = ()
    every: timedelta = timedelta(minutes=1)
    seconds: float = 10.0
    budget: float = 120.0

    def __post_init__(self) -> None:
        if isinstance(self.uri, str) and masked(self.uri) != self.uri:
            raise DefinitionError(
                f"expected a tracking URI without a password, got {masked(self.uri)!r}",
                cure="write uri=Env('MLFLOW_TRACKING_URI'), or set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD",
            )
        if self.uri is not None and not isinstance(self.uri, str | Env | File):
            raise DefinitionError(f"expected a URI, Env or File in Mlflow(uri=...), got {self.uri!r:.80}")
        if not (self.seconds >= 1 and self.budget >= self.seconds):
            raise DefinitionError(
                f"expected seconds of at least 1 and a budget of no less, got {self.seconds!r} and {self.budget!r}"
            )
        if self.listen is not None and not self.listen.strip():
            raise DefinitionError(f"expected a word to listen for, got {self.listen!r}")
        if self.listen in RESERVED:
            raise DefinitionError(
                f"expected a word of people's to listen for, got {self.listen!r}, which is set by Trueup itself",
                cure="listen='validated-for-staging'",
            )
        if isinstance(self.listen_to, str):
            raise DefinitionError(f"expected a list of registered models, got {self.listen_to!r}")

    def place(self, home: Path) -> str:
        """The URI to connect to, its secrets revealed: never print it."""
        if isinstance(self.uri, Env | File):
            return self.uri.reveal()
        return self.uri or os.environ.get(VARIABLE) or f"sqlite:///{home / 'mlflow' / 'mlflow.db'}"

    def target(self, ledger: Ledger) -> str:
        """Where it publishes to, without a password."""
        return masked(self.place(ledger.home))

    def publish(
        self, ledger: Ledger, shown: Projection, last: Mapping[str, Any], *, thorough: bool, dry: bool, say: Say
    ) -> Published:
        """Make MLflow equal to `shown`; see Publisher."""
        from trueup.registry._mlflow import connected, is_there
        from trueup.registry._mlflow_sync import Sync, all_new

        uri = self.place(ledger.home)
        if dry and not is_there(uri):
            return all_new(shown, self.target(ledger))
        with connected(uri, self.seconds) as client:
            return Sync(self, client, ledger, shown, last, thorough=thorough, dry=dry, say=say).run()

    def nominations(self, ledger: Ledger, loop: str) -> Sequence[Nomination]:
        """The model versions that carry the word that is listened for."""
        if self.listen is None:
            return ()
        from trueup.registry._mlflow import connected, is_there, marked

        uri = self.place(ledger.home)
        if not is_there(uri):
            return ()
        with connected(uri, self.seconds) as client:
            names = dict.fromkeys((self.model or loop, *self.listen_to))
            return [found for name in names for found in marked(client, name, self.listen, self.target(ledger))]

    def fetch(self, nomination: Nomination, ledger: Ledger, folder: Path) -> Path:
        """Download a nominated version's folder under `folder`."""
        from trueup.registry._mlflow import connected, download

        uri = self.place(ledger.home)
        with connected(uri, self.seconds) as client:
            return download(client, uri, nomination.source["model"], nomination.source["version"], folder)


RESERVED = ("champion", "challenger", "staging-candidate", "production-validated")
