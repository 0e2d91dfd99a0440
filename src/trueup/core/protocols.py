# SPDX-License-Identifier: Apache-2.0
"""What the rooms expect of each other, and of a third party's parts: one or two methods each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, runtime_checkable

from trueup.core import values
from trueup.core.errors import ArgumentError, DataError, DefinitionError
from trueup.core.json import Json
from trueup.core.money import Spend
from trueup.core.references import Ref
from trueup.core.task import Outcome
from trueup.core.values import value

if TYPE_CHECKING:
    import pyarrow as pa


# -- answers and scores ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Prediction:
    """An answer: its JSON value, and where the model gives them the probabilities of its labels."""

    value: Json
    scores: Mapping[str, float] | None = None


@runtime_checkable
class Predictor(Protocol):
    """Whatever answers."""

    def predict(self, inputs: Sequence[Json]) -> list[Prediction]:
        """One answer an input, in order. Raises on the first input that cannot be answered."""
        ...


@runtime_checkable
class ParameterPredictor(Predictor, Protocol):
    """A model whose answers depend on the parameters of its candidate: a prompt, a threshold.

    Where a model takes none, only the application knows what they change, and no stage may judge a
    candidate with parameters by the answers of its model.
    """

    def with_parameters(self, parameters: Mapping[str, Json]) -> Predictor:
        """The model that answers with these parameters; those that are missing keep their defaults."""
        ...


class Embedder(Protocol):
    """Whatever turns text into vectors."""

    name: str

    def embed(self, texts: Sequence[str]) -> Any:
        """An array (n, d) of float32 for n texts."""
        ...


@dataclass(frozen=True, slots=True)
class Unmeasured:
    """No score, and why."""

    reason: str


Measured: TypeAlias = float | Unmeasured


@runtime_checkable
class Scorer(Protocol):
    """Scores one answer at a time in [0, 1], 1 being best, against a label or by itself."""

    @property
    def name(self) -> str: ...

    def score(
        self, inputs: Sequence[Json], answers: Sequence[Prediction], labels: Sequence[Json]
    ) -> list[Measured]:
        """One score an answer, in order; never NaN."""
        ...


@runtime_checkable
class Metric(Protocol):
    """One number for a whole set of answers; higher is better unless `better` says lower."""

    @property
    def name(self) -> str: ...

    def measure(self, answers: Sequence[Prediction], labels: Sequence[Json]) -> Measured: ...


# -- triggers and conditions ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Finding:
    """What a trigger or a condition found: whether it holds, in words, and with its numbers."""

    holds: bool
    reason: str
    evidence: Mapping[str, Any] = field(default_factory=dict)


class Facts(Protocol):
    """What a trigger may ask of a loop's past. All answers stand at one cut of the ledger."""

    loop: str
    now: datetime
    last_trained: datetime | None
    false_alarms_per_year: float

    def rows(self, *, new: bool = False) -> int:
        """Rows fit for training: all of them, or those that the last training could not see."""
        ...

    def outcomes(self, name: str, since: datetime | None = None) -> tuple[Sequence[float], Sequence[datetime]]:
        """The values of a numeric outcome of served answers, with the times they became known."""
        ...

    def scores(self, scorer: Scorer, since: datetime | None = None) -> tuple[Sequence[float], Sequence[datetime]]:
        """The scores of the champion's served answers against the labels that have arrived."""
        ...

    def signals(self, name: str, since: datetime | None = None) -> Sequence[Mapping[str, Any]]:
        """What the system said under this name (an ingestion completed, a person asked, an alert)."""
        ...

    def numbers(
        self, name: str, field: str, since: datetime | None = None
    ) -> tuple[Sequence[float], Sequence[datetime]]:
        """A number of each signal of this name (nan where it says none), and when it became known."""
        ...

    def spent(self, currency: str, since: datetime | None = None) -> float:
        """Money spent by this loop."""
        ...

    def reference(self, detector: str) -> datetime | None:
        """Since when `detector` counts: its last accepted alarm, else the champion's promotion."""
        ...

    def accepted(self, detector: str) -> datetime | None:
        """Since when `detector` counts whatever was promoted: its last accepted alarm."""
        ...

    def served(self, outcome: Outcome | None, since: datetime | None = None) -> tuple[Sequence[float], Sequence[datetime]]:
        """What requests came to after `since`, whoever served them: `outcome` on [0, 1] with 1 the best, once its
        window has closed, or for None 1 where a request was answered and 0 where it failed; with the
        times they became known, in order."""
        ...

    def requests(self, since: datetime | None = None, until: datetime | None = None) -> pa.Table:
        """Logged requests asked after `since` and up to `until`: choice, ts, received, unit,
        candidate, input, output (JSON texts) and more, as they became known."""
        ...

    def learned(self) -> tuple[str | None, pa.Table | None]:
        """The champion, and the training rows of its Snapshot (None where there is none)."""
        ...


@runtime_checkable
class Trigger(Protocol):
    """A reason to train (`when`), or not to (`unless`)."""

    def look(self, facts: Facts) -> Finding: ...


# -- training -------------------------------------------------------------------------------------


@value("budget")
class Budget:
    """Limits of one training: seconds of wall time, megabytes of memory, and money.

    `money` (None: no limit) is what all attempts of a training may cost at the loop's price; one
    that reaches it is stopped with its checkpoint, and goes on from there under a higher budget.
    Where the last training of the same trainer cost more than that, no other begins.

    A training that dies of something that may pass (a signal, its memory, a lost network) is tried
    `retries` more times, the first one after `retry_delay` seconds, then after twice as many.
    """

    seconds: float = 3600.0
    megabytes: int = 4096
    retries: int = 1
    retry_delay: float = 300.0
    money: Spend | None = None

    def __post_init__(self) -> None:
        if self.money is not None and (not isinstance(self.money, Spend) or self.money.per != "life"):
            raise ArgumentError(
                f"expected money as an amount for one training, got {self.money!r}",
                cure='write Budget(money=Spend(5, "EUR")); a sum per month stands in Loop(unless=[Spend(200, "EUR", per="month")])',
            )

    def paid(self, price: Spend | None) -> float:
        """The seconds that the money lasts at a price per hour; infinite without a limit. Raises
        DefinitionError where no price, or one in another currency, says so."""
        if self.money is None:
            return inf
        if price is None or price.currency != self.money.currency:
            raise DefinitionError(
                f"expected a price in {self.money.currency} beside Budget(money=...), got {price!r}",
                cure=f'write Loop(price=Spend(2.5, "{self.money.currency}")): what an hour of training costs',
            )
        return 3600.0 * self.money.amount / price.amount


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a trainer can do; what a job asks and this lacks is refused before data is prepared.

    `base` is True where it learns on top of a frozen model, which the job must name. `resume` says
    what an attempt that was killed leaves to the next: exact gives bitwise the model of an
    undisturbed run.
    """

    outputs: tuple[str, ...] = ("label", "labels")
    stateful: bool = False
    weights: bool = False
    resume: Literal["exact", "approximate", "none"] = "none"
    base: bool = False


@dataclass(frozen=True, slots=True)
class TrainJob:
    """All that a training needs, as JSON: the same in process, in a subprocess and on an engine.

    `data` is a Parquet file with the columns of a Snapshot (`input` and `target` as JSON texts,
    `weight`, `part`: new or replay). `init` is the model to go on from, None for stateless; `base`
    the frozen model that an adapter is trained on, None where there is none.
    """

    loop: str
    trainer: Mapping[str, Any]
    data: Ref
    output: str
    seed: int = 0
    init: Ref | None = None
    budget: Budget = field(default_factory=Budget)
    base: Ref | None = None

    def to_json(self) -> dict[str, Any]:
        data = asdict(self)
        data["data"] = self.data.to_json()
        data["init"] = self.init.to_json() if self.init else None
        data["base"] = self.base.to_json() if self.base else None
        data["trainer"] = dict(self.trainer)
        data["budget"]["money"] = values.to_json(self.budget.money)
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> TrainJob:
        try:
            return cls(
                loop=data["loop"], trainer=data["trainer"], data=Ref.from_json(data["data"]),
                output=data["output"], seed=data["seed"],
                init=Ref.from_json(data["init"]) if data.get("init") else None,
                budget=Budget(**{**data["budget"], "money": values.from_json(data["budget"].get("money"))}),
                base=Ref.from_json(data["base"]) if data.get("base") else None,
            )
        except (KeyError, TypeError) as error:
            raise DataError(f"expected a training job, got {sorted(data)}: {error}") from None


class RunContext(Protocol):
    """Where a training works, and how it says how far it is.

    `checkpoints` is a folder that outlives this attempt, and is thrown away once the job is done:
    a trainer that is killed goes on from what it left there. `starved` counts the attempts that
    were killed for their memory: a trainer that can takes less.
    """

    workdir: Path
    checkpoints: Path
    starved: int

    def report(self, step: int, total: int, **metrics: float) -> None: ...

    def should_stop(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class TrainResult:
    """What a training gave. `model` is a folder with `model.json` in it, under the workdir."""

    status: Literal["completed", "retry", "failed"]
    model: Path | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    reason: str = ""


@runtime_checkable
class Trainer(Protocol):
    """Fits, and never serves."""

    @property
    def capabilities(self) -> Capabilities: ...

    def fit(self, job: TrainJob, context: RunContext) -> TrainResult: ...


# -- curation -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Curated:
    """What a curation step kept, and what it dropped by reason."""

    rows: pa.Table
    dropped: Mapping[str, int] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)


@runtime_checkable
class Curator(Protocol):
    """A step of a recipe: rows in, rows out, what was dropped and why. Pure, seeded."""

    @property
    def version(self) -> str:
        """Changes when the step's results may change."""
        ...

    def curate(self, rows: pa.Table, seed: int) -> Curated: ...


# -- gates ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class GateResult:
    """Whether a candidate passed a gate, in words, with the numbers."""

    passed: bool
    reason: str
    evidence: Mapping[str, Any] = field(default_factory=dict)


Answer: TypeAlias = Callable[[Sequence[Json]], list[Prediction]]
