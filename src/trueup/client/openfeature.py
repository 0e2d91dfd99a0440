# SPDX-License-Identifier: Apache-2.0
"""OpenFeature: a provider whose flags are the parameters of the arm, and its hook (REL-11).

    from openfeature import api
    api.set_provider(TrueupProvider(connect("news", acknowledge="enqueue")))
    details = api.get_client().get_string_details("prompt", "Summarise.", EvaluationContext("user-1"))

Needs `pip install 'trueup[openfeature]'`.
"""

from __future__ import annotations

import contextlib
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

try:
    from openfeature.evaluation_context import EvaluationContext
    from openfeature.exception import ErrorCode
    from openfeature.flag_evaluation import FlagEvaluationDetails, FlagResolutionDetails, Reason
    from openfeature.hook import Hook, HookContext
    from openfeature.provider import AbstractProvider, Metadata
    from openfeature.track import TrackingEventDetails
except ModuleNotFoundError as error:
    from trueup.core.errors import MissingDependency

    raise MissingDependency("openfeature-sdk", "openfeature") from error

from trueup.client.choice import Choice
from trueup.client.client import Client

CANDIDATE = "candidate"
"""The flag whose value is the id of the candidate that should answer."""
REMEMBERED = 10_000
"""Units whose last choice is remembered for `track`."""


class TrueupProvider(AbstractProvider):  # type: ignore[misc]
    """Flags are the parameters of the arm that a unit gets; the targeting key is the unit.

    The variant is the arm, the reason SPLIT for an enrolled unit, and the metadata hold the choice's
    id, the propensity, the generation and the release. Each evaluation is a request of its own. A
    hook that comes with the provider writes down the exposure and, with `log`, the flag's value as
    the answer; pass log=False where the application logs its own answers, by the choice's id.
    `track(name, context, details)` is feedback on the last choice of the unit, or on that of the
    attribute "choice".
    """

    def __init__(self, client: Client, *, log: bool = True) -> None:
        super().__init__()
        self._client, self._log = client, log
        self._last: OrderedDict[str, str] = OrderedDict()

    def get_metadata(self) -> Metadata:
        return Metadata(name="trueup")

    def get_provider_hooks(self) -> list[Hook]:
        return [TrueupHook(self._client, log=self._log)]

    def resolve_boolean_details(
        self, flag_key: str, default_value: bool, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[bool]:
        return self._resolve(flag_key, default_value, evaluation_context, lambda one: isinstance(one, bool))

    def resolve_string_details(
        self, flag_key: str, default_value: str, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[str]:
        return self._resolve(flag_key, default_value, evaluation_context, lambda one: isinstance(one, str))

    def resolve_integer_details(
        self, flag_key: str, default_value: int, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[int]:
        return self._resolve(
            flag_key, default_value, evaluation_context,
            lambda one: isinstance(one, int) and not isinstance(one, bool),
        )

    def resolve_float_details(
        self, flag_key: str, default_value: float, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[float]:
        found = self._resolve(
            flag_key, default_value, evaluation_context,
            lambda one: isinstance(one, int | float) and not isinstance(one, bool),
        )
        if isinstance(found.value, int):
            found.value = float(found.value)
        return found

    def resolve_object_details(
        self, flag_key: str, default_value: Any, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[Any]:
        return self._resolve(flag_key, default_value, evaluation_context, lambda one: isinstance(one, Mapping | tuple))

    def track(
        self, tracking_event_name: str, evaluation_context: EvaluationContext | None = None,
        tracking_event_details: TrackingEventDetails | None = None,
    ) -> None:
        details = tracking_event_details or TrackingEventDetails()
        unit = evaluation_context.targeting_key if evaluation_context else None
        choice = details.attributes.get("choice") or self._last.get(unit or "")
        if not isinstance(choice, str):
            self._client._faults.report("track", f"no choice of {unit!r:.80} is known for {tracking_event_name!r:.80}")
            return
        value = True if details.value is None else details.value
        try:
            self._client.feedback(choice, tracking_event_name, value)
        except Exception as error:  # the application's request goes on
            self._client._faults.report("track", error)

    def _resolve(
        self, flag: str, default: Any, context: EvaluationContext | None, fits: Callable[[Any], bool]
    ) -> FlagResolutionDetails[Any]:
        unit = context.targeting_key if context else None
        if not unit:
            return FlagResolutionDetails(
                default, reason=Reason.ERROR, error_code=ErrorCode.TARGETING_KEY_MISSING,
                error_message="expected a targeting key: the unit that is randomised",
            )
        known = self._client._view.routing.parameters
        if flag != CANDIDATE and not any(flag in given for given in known.values()) and not self._refreshed(flag):
            return FlagResolutionDetails(
                default, reason=Reason.ERROR, error_code=ErrorCode.FLAG_NOT_FOUND,
                error_message=f"expected a parameter of {self._client.loop}, or {CANDIDATE!r}, got {flag!r:.80}",
            )
        attributes = dict(context.attributes) if context else {}
        choice = self._client.choose(unit, attributes or None)
        self._remember(unit, choice.id)
        value = choice.candidate if flag == CANDIDATE else choice.parameters.get(flag)
        told = _told(choice)
        if value is None:
            return FlagResolutionDetails(default, reason=Reason.DEFAULT, variant=choice.arm, flag_metadata=told)
        if not fits(value):
            with contextlib.suppress(Exception):
                self._client.log(choice, _asked(flag, context), error=f"the flag {flag} is of another type")
            return FlagResolutionDetails(
                default, reason=Reason.ERROR, error_code=ErrorCode.TYPE_MISMATCH, variant=choice.arm,
                flag_metadata=told, error_message=f"expected another type of {flag!r:.80}, got {value!r:.80}",
            )
        reason = Reason.STATIC if choice.propensity is None else Reason.SPLIT
        return FlagResolutionDetails(_plain(value), reason=reason, variant=choice.arm, flag_metadata=told)

    def _refreshed(self, flag: str) -> bool:
        self._client.refresh()
        return any(flag in given for given in self._client._view.routing.parameters.values())

    def _remember(self, unit: str, choice: str) -> None:
        self._last[unit] = choice
        self._last.move_to_end(unit)
        while len(self._last) > REMEMBERED:
            self._last.popitem(last=False)


class TrueupHook(Hook):  # type: ignore[misc]
    """Writes down that a unit saw what its flag said.

    It never raises: a hook that raises makes the client serve the default value, which would move
    the challenger's users to the champion in silence. What cannot be written down is a lost
    exposure, and makes the experiment INVALID.
    """

    def __init__(self, client: Client, *, log: bool = True) -> None:
        self._client, self._log = client, log

    def after(self, hook_context: HookContext, details: FlagEvaluationDetails[Any], hints: Any) -> None:
        release = None
        try:
            choice = _choice(details.flag_metadata)
            if choice is None:
                return
            release = choice.release if choice.propensity is not None else None
            self._client.expose(choice)
            if self._log:
                self._client.log(choice, _asked(details.flag_key, hook_context.evaluation_context), details.value)
        except Exception as error:
            self._client._faults.report("exposure", error)
            if release is not None:
                self._client._faults.lost_exposure(release)


def _told(choice: Choice) -> dict[str, bool | int | float | str]:
    """A choice as a flag's metadata, which hold no nothing."""
    told = {
        "choice": choice.id, "arm": choice.arm, "candidate": choice.candidate, "propensity": choice.propensity,
        "generation": choice.generation, "release": choice.release, "unit": choice.unit,
    }
    return {name: one for name, one in told.items() if one is not None}


def _choice(told: Mapping[str, Any]) -> Choice | None:
    """The choice that a flag's metadata tell of; None where another provider answered."""
    if "choice" not in told:
        return None
    return Choice(
        told["choice"], told["arm"], told.get("candidate"), {}, told.get("propensity"), told["generation"],
        told.get("release"), told.get("unit"),
    )


def _asked(flag: str, context: EvaluationContext | None) -> dict[str, Any]:
    return {"flag": flag, "context": dict(context.attributes) if context else {}}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, tuple) else value
