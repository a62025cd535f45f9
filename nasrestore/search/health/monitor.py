"""The monitor that a search's loop reports to: every step is looked at, a hard finding stops it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from torch import nn

from nasrestore.errors import RunStopped
from nasrestore.search.health.batches import BatchWatch
from nasrestore.search.health.eigenvalue import (
    EigenvalueRule,
    EigenvalueWatch,
    architecture_level,
    ended_early,
)
from nasrestore.search.health.finding import Finding
from nasrestore.search.health.ownership import ARCHITECTURE, check_chain, constant_variables
from nasrestore.search.health.silence import PATIENCE, Heard, heard_of, judge_silence
from nasrestore.search.health.splits import judge_members
from nasrestore.search.health.traces import Traces
from nasrestore.search.level import Level, StepRecord
from nasrestore.search.objective import Batch


def _nobody(name: str, **fields: Any) -> None:
    return None


class HealthMonitor:
    """Watches a search; ``nasrestore.search.loop.Monitor``.

    Args:
        splits: for each level the split that it is to read.
        members: the scenes of each split.
        eigenvalue: whether and how often the curvature is looked at.
        event: hears, as a log's ``event`` does, of every finding that is not well, and of every
            eigenvalue.

    Attributes:
        findings: all so far.
    """

    def __init__(
        self,
        splits: Mapping[str, str] | None = None,
        members: Mapping[str, Collection[str]] | None = None,
        *,
        eigenvalue: EigenvalueRule | None = None,
        event: Callable[..., None] = _nobody,
    ) -> None:
        self.findings: list[Finding] = []
        self._members = dict(members or {})
        self._batches = BatchWatch(splits, members)
        self._eigenvalue = None if eigenvalue is None else EigenvalueWatch(eigenvalue)
        self._event = event
        self._heard: dict[str, Heard] = {}
        self._traces: dict[str, Traces] = {}
        self._levels: Sequence[Level] = ()
        self._constant: set[str] = set()
        self._pending: list[Finding] = []

    def begin(self, network: nn.Module, levels: Sequence[Level]) -> None:
        """Looks at the splits and the chain, and at every batch from now on.

        Raises:
            RunStopped: a hard finding.
        """
        self._tell([*judge_members(self._members), *check_chain(network, levels)])
        self._levels = levels
        self._constant = constant_variables(network)
        owners = {id(v): level.name for level in levels for v in level.variables.values()}
        for level in levels:
            self._traces[level.name] = Traces(level, owners)
            self._heard.setdefault(level.name, Heard())
            level.watch = partial(self._see, level)

    def step(self, level: Level, progress: float, below: Sequence[Level]) -> StepRecord:
        """The level's step, looked at.

        Raises:
            RunStopped: of the step itself, or a hard finding.
        """
        traces, heard = self._traces[level.name], self._heard[level.name]
        before = traces.look()
        record = level.step(progress, below)
        found, self._pending = self._pending, []
        found += traces.compare(before)
        heard.hear(record.silent, self._constant)
        if heard.steps == PATIENCE:  # the unheard can only become fewer
            found += judge_silence(level.name, heard, ended=False)
        self._tell(found)
        return record

    def ends(self, turn: int, progress: float) -> bool:
        """Looks at the eigenvalue when it is time; whether its rise ends the search.

        The architecture then is that of before the rise.
        """
        watch, level = self._eigenvalue, architecture_level(self._levels)
        if (
            watch is None
            or level is None
            or turn % watch.rule.every
            or not level.takes_part(progress)
        ):
            return False
        value = watch.look(level, turn, progress)
        self._event("eigenvalue", phase="search", turn=turn, value=value, window=watch.rule.window)
        if not watch.rule.risen(watch.values):
            return False
        self._tell([ended_early(turn, watch.go_back(level), watch.rule)])
        return True

    def end(self) -> None:
        """Looks back.

        Raises:
            RunStopped: the architecture never received a gradient.
        """
        self._tell(
            finding
            for level, heard in self._heard.items()
            for finding in judge_silence(level, heard, ended=True)
        )

    def idle(self) -> list[str]:
        """The levels with architecture parameters that have taken no step."""
        return [
            level.name
            for level in self._levels
            if self._heard[level.name].steps == 0
            and any(name.startswith(ARCHITECTURE) for name in level.variables)
        ]

    def _see(self, level: Level, batch: Batch) -> None:
        # The step that drew it is to be told apart from what is wrong with the batch.
        self._pending += self._batches.look(level.name, batch, len(level.batches))

    def _tell(self, findings: Iterable[Finding]) -> None:
        stop: Finding | None = None
        for finding in findings:
            self.findings.append(finding)
            if finding.kind != "ok":
                self._event("finding", **finding.plain())
            stop = finding if stop is None and finding.kind == "hard" else stop
        if stop is not None:
            raise RunStopped(stop.sentence, hint=stop.advice or None)

    def state_dict(self) -> dict[str, Any]:
        """What the judgement of later steps depends on, as plain data and tensors."""
        return {
            "heard": {level: heard.state_dict() for level, heard in self._heard.items()},
            "batches": self._batches.state_dict(),
            "eigenvalue": None if self._eigenvalue is None else self._eigenvalue.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on with what ``state_dict`` gave; an empty one is of a run without a monitor."""
        self._heard = {level: heard_of(heard) for level, heard in state.get("heard", {}).items()}
        self._batches.load_state_dict(state.get("batches", {}))
        if self._eigenvalue is not None and state.get("eigenvalue") is not None:
            self._eigenvalue.load_state_dict(state["eigenvalue"])
