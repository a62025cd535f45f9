"""The loop that search and training share: turns of a chain of levels, innermost first."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from torch import nn

from nasrestore.errors import NasRestoreError, RunStopped
from nasrestore.network.weights import misfits, refuse_misfits
from nasrestore.runtime.checkpoint import (
    Checkpoint,
    latest_checkpoint,
    load_checkpoint,
    random_state,
    save_checkpoint,
    set_random_state,
)
from nasrestore.runtime.memory import is_out_of_memory
from nasrestore.runtime.runlog import RunLog
from nasrestore.search.hyper import PREFIX, HyperParameters
from nasrestore.search.level import Level, StepRecord
from nasrestore.search.schedule import Plan, Replanner
from nasrestore.search.stepdown import StepDown, ran_out, said


class Interrupted(Exception):
    """The user asked to stop; the run can be resumed. Exit status 130."""


@dataclass(frozen=True)
class TurnReport:
    """What an observer hears after each turn.

    Attributes:
        turn: turns done, of ``total``.
        left: seconds until the end at the present pace.
        leading: for each choice, the strongest candidate and its strength; empty in training.
    """

    phase: str
    turn: int
    total: int
    left: float
    records: Sequence[StepRecord]
    leading: dict[str, tuple[str, float]] = field(default_factory=dict)


class Observer(Protocol):
    """Whoever shows the progress of a run."""

    def turn(self, report: TurnReport) -> None: ...

    def message(self, text: str) -> None: ...


class Silent:
    """An observer that shows nothing."""

    def turn(self, report: TurnReport) -> None:
        return None

    def message(self, text: str) -> None:
        return None


class Monitor(Protocol):
    """Whoever watches a run's health, and stops it where it is hopeless."""

    def begin(self, network: nn.Module, levels: Sequence[Level]) -> None:
        """Looks at a run before its first turn, or its first after a resumption.

        Raises:
            RunStopped: something is wrong from the start.
        """
        ...

    def step(self, level: Level, progress: float, below: Sequence[Level]) -> StepRecord:
        """Lets a level take its step, and looks at what it did.

        Raises:
            RunStopped: as the level's own step, or what it did is wrong.
        """
        ...

    def ends(self, turn: int, progress: float) -> bool:
        """Whether the run is to end regularly after ``turn`` turns."""
        ...

    def end(self) -> None:
        """Looks back at a run that has ended.

        Raises:
            RunStopped: nothing may be decided by it.
        """
        ...

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any]) -> None: ...


@dataclass
class Loop:
    """Turns of a chain of levels until the plan is done.

    Attributes:
        phase: ``search`` or ``train``; part of every log line and checkpoint.
        levels: innermost first; in a turn each takes its steps in that order.
        checkpoints: the folder for them.
        checkpoint_seconds: time between two.
        should_stop: asked after every turn; a checkpoint is written before the loop leaves.
        extra: more to keep in every checkpoint.
        monitor: watches every step; ``None`` for nobody.
        keep: writes settings that changed on the way into the run's recipe.
        step_down: goes on with less memory where a step ran out of it.
    """

    phase: str
    network: nn.Module
    levels: Sequence[Level]
    replanner: Replanner
    log: RunLog
    checkpoints: Path
    observer: Observer = field(default_factory=Silent)
    checkpoint_seconds: float = 60.0
    should_stop: Callable[[], bool] = lambda: False
    turn: int = 0
    elapsed: float = 0.0
    extra: dict[str, Any] = field(default_factory=dict)
    monitor: Monitor | None = None
    keep: Callable[[dict[str, Any]], object] = lambda settings: None
    step_down: StepDown = field(init=False)
    _unsolved: set[str] = field(default_factory=set, init=False)

    def __post_init__(self) -> None:
        self.step_down = StepDown(self.network, self._less_memory)
        for level in self.levels:
            level.step_down = self.step_down

    @property
    def hyper(self) -> HyperParameters:
        """The scalars outside the network; all levels share them."""
        return self.levels[0].objective.hyper

    @property
    def plan(self) -> Plan:
        return self.replanner.plan

    # -- state -------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next turn depends on."""
        return {
            "phase": self.phase,
            "turn": self.turn,
            "elapsed": self.elapsed,
            "plan": self.replanner.state_dict(),
            "network": self.network.state_dict(),
            "hyper": self.hyper.state_dict(),
            "levels": {level.name: level.state_dict() for level in self.levels},
            "random": random_state(),
            "extra": dict(self.extra),
            "unsolved": sorted(self._unsolved),
            "monitor": {} if self.monitor is None else self.monitor.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.turn = int(state["turn"])
        self.elapsed = float(state["elapsed"])
        self.replanner.load_state_dict(state["plan"])
        self.network.load_state_dict(state["network"])
        self.hyper.load_state_dict(state.get("hyper", {}))
        for level in self.levels:
            level.load_state_dict(state["levels"][level.name])
        set_random_state(state["random"])
        self.extra = dict(state["extra"])
        self._unsolved = set(state.get("unsolved", ()))
        if self.monitor is not None:
            self.monitor.load_state_dict(state.get("monitor", {}))

    def save(self) -> Path:
        """A checkpoint of this moment."""
        return save_checkpoint(self.checkpoints, self.state_dict(), step=self.turn, kind=self.phase)

    def resume(self) -> bool:
        """Goes on from the newest checkpoint, if there is one; what the log has beyond it goes.

        Raises:
            NasRestoreError: it is of another network, other levels or other images.
        """
        if latest_checkpoint(self.checkpoints) is None:
            return False
        device = next(self.network.parameters()).device
        checkpoint = load_checkpoint(self.checkpoints, map_location=device, kind=self.phase)
        for note in checkpoint.notes:
            self.observer.message(note)
        self._refuse_other(checkpoint)
        if "data" in self.extra and checkpoint["extra"].get("data") != self.extra["data"]:
            raise NasRestoreError(
                "the images have changed since the checkpoint",
                hint="resume with the same images, or start a new run",
            )
        self.load_state_dict(checkpoint)
        self.log.truncate_after(self.turn - 1, phase=self.phase)
        return True

    def _refuse_other(self, checkpoint: Checkpoint) -> None:
        refuse_misfits(
            misfits(self.network.state_dict(), checkpoint["network"])
            + misfits(self.hyper.state_dict(), checkpoint.get("hyper", {})),
            checkpoint.path,
        )
        names, theirs = [level.name for level in self.levels], list(checkpoint["levels"])
        if names != theirs:
            raise NasRestoreError(
                f"{checkpoint.path} is of the levels {', '.join(theirs)}, and the recipe has "
                f"{', '.join(names)}; recipe.yaml seems to have been changed since",
                hint="put recipe.yaml back as it was, or make a run of its own with the changed one",
            )

    # -- running -----------------------------------------------------------------------------

    def run(self) -> None:
        """Turns until the plan is done; a checkpoint at its end.

        Raises:
            RunStopped: a loss is not finite, the monitor found something hopeless, or memory ran
                out with the last setting; the last good checkpoint is named.
            Interrupted: asked to stop; a checkpoint was written.
        """
        saved = time.monotonic()
        if self.monitor is not None:
            with self.stops_told():
                self.monitor.begin(self.network, self.levels)
        while self.turn < self.plan.total:
            began = time.monotonic()
            records = self._turn()
            self._end_early()
            self.elapsed += time.monotonic() - began
            self._replan()
            self._report(records)
            if self.should_stop():
                path = self.save()
                self.log.event("interrupted", phase=self.phase, turn=self.turn)
                raise Interrupted(f"stopped at turn {self.turn} of {self.plan.total}; {path.name}")
            if time.monotonic() - saved > self.checkpoint_seconds:
                self.save()
                saved = time.monotonic()
        self.save()
        if self.monitor is not None:
            with self.stops_told():
                self.monitor.end()

    def _turn(self) -> list[StepRecord]:
        """Each level's steps; those whose start has not come yet, or whose end has, stand by."""
        progress = self.plan.progress(self.turn)
        records = []
        for index, level in enumerate(self.levels):
            if not level.takes_part(progress):
                continue
            for _ in range(level.steps):
                began = time.monotonic()
                record = self._step(level, progress, self.levels[:index])
                self._log(level, record, time.monotonic() - began)
                records.append(record)
        self.turn += 1
        return records

    def _log(self, level: Level, record: StepRecord, seconds: float) -> None:
        fields: dict[str, Any] = {"rate": record.rate, "seconds": round(seconds, 5)}
        if record.direct_norm is None:
            fields["gradient_norm"] = record.gradient_norm
        else:
            fields["gradient_norm"] = record.direct_norm
            fields["hypergradient_norm"] = record.gradient_norm
        hyper = self.hyper.plain_values()
        if hyper and any(name.startswith(PREFIX) for name in level.variables):
            fields["hyper"] = hyper
        self.log.step(
            self.turn, level.name, record.terms, phase=self.phase, **fields, **record.record
        )
        if record.unsolved is not None and level.name not in self._unsolved:
            self._unsolved.add(level.name)  # the log has every residual; words once are enough
            text = f"level {level.name!r}: {record.unsolved}"
            self.log.event("unsolved", phase=self.phase, step=self.turn, text=text)
            self.observer.message(text)

    def _step(self, level: Level, progress: float, below: Sequence[Level]) -> StepRecord:
        with self.stops_told():
            if self.monitor is not None:
                return self.monitor.step(level, progress, below)
            return level.step(progress, below)

    @contextmanager
    def stops_told(self) -> Iterator[None]:
        """Inside, what stops the run is logged, and raised with its place in the run; so is what crashes it."""
        try:
            yield
        except RunStopped as error:
            self.log.event("stopped", phase=self.phase, turn=self.turn, reason=error.message)
            raise self.stopped(error) from error
        except Exception as error:
            if not isinstance(error, (RuntimeError, MemoryError)) or not is_out_of_memory(error):
                known = isinstance(error, NasRestoreError)
                reason = str(error) if known else f"{type(error).__name__}: {error}"
                self.log.event("crashed", phase=self.phase, turn=self.turn, reason=reason)
                raise
            stop = ran_out(said(error))  # where nothing can be put back
            self.log.event("stopped", phase=self.phase, turn=self.turn, reason=stop.message)
            raise self.stopped(stop) from error

    def stopped(self, error: RunStopped) -> RunStopped:
        """The error of a step, with the place in the run and the checkpoint to go back to."""
        last = latest_checkpoint(self.checkpoints)
        good = "no checkpoint was written yet" if last is None else f"last good one: {last}"
        return RunStopped(
            f"{self.phase} turn {self.turn}: {error.message}; {good}",
            hint=error.hint or "lower the learning rate, or set precision=fp32",
        )

    def _less_memory(self, setting: str, text: str) -> None:
        self.log.event("memory", phase=self.phase, turn=self.turn, setting=setting, text=text)
        self.observer.message(f"{self.phase}: {text}")
        self.keep({f"{self.phase}.memory": setting})

    def _replan(self) -> None:
        before = self.plan.total
        plan = self.replanner.update(self.turn, self.elapsed)
        if plan.total != before:
            self.log.event("replanned", phase=self.phase, turn=self.turn, total=plan.total)

    def _end_early(self) -> None:
        """Ends the plan here where the monitor says so."""
        plan, monitor = self.plan, self.monitor
        if monitor is None:
            return
        progress = plan.progress(self.turn)
        with self.stops_told():  # a look at the curvature needs memory, and moves nothing
            ended = self.step_down(lambda: monitor.ends(self.turn, progress), lambda: None)
        if ended and self.turn < plan.total:
            self.replanner.plan = plan.replanned(self.turn, self.turn)
            self.log.event("ended_early", phase=self.phase, turn=self.turn, of=plan.total)

    def _report(self, records: Sequence[StepRecord]) -> None:
        left = self.elapsed / self.turn * (self.plan.total - self.turn)
        every = max(1, self.plan.total // 200)
        leading: dict[str, tuple[str, float]] = {}
        architecture = getattr(self.network, "architecture", None)
        if architecture is not None:
            strengths = architecture.strengths()
            if self.turn % every == 0 or self.turn == self.plan.total:
                self.log.event("strengths", phase=self.phase, turn=self.turn, strengths=strengths)
            for choice in architecture.choices:
                best = max(range(len(choice.candidates)), key=strengths[choice.name].__getitem__)
                leading[choice.name] = (choice.candidates[best], strengths[choice.name][best])
        self.observer.turn(
            TurnReport(self.phase, self.turn, self.plan.total, left, records, leading)
        )
