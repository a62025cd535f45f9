"""One level of a chain: its variables, its objective, and how it takes a step."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import NoneType
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from nasrestore import registry
from nasrestore.errors import NasRestoreError, RunStopped
from nasrestore.plugin_errors import described
from nasrestore.search.hypergradient.curvature import (
    Curvature,
    Frozen,
    Present,
    reduced,
    with_responses,
)
from nasrestore.search.hypergradient.descent import Descent
from nasrestore.search.hypergradient.problem import (
    Gradient,
    Hypergradient,
    LevelProblem,
    constants,
    norm,
)
from nasrestore.search.objective import Batch, Objective, Terms
from nasrestore.search.scope import Noise, norms_of_any_order, only, statistics
from nasrestore.search.stepdown import StepDown


class BatchStream(Protocol):
    """An endless stream of batches whose place can be saved."""

    def __next__(self) -> Batch: ...

    def __len__(self) -> int: ...

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any]) -> None: ...


@dataclass(frozen=True)
class StepRecord:
    """What one step of one level did; for the log.

    Attributes:
        terms: each term of the objective and the ``total``.
        gradient_norm: Euclidean, over all the level's variables, before clipping.
        direct_norm: of the part with everything below held fixed; ``None`` for the innermost level.
        record: more that the hypergradient measured, such as a solver's ``residual``.
        unsolved: what a solver had to say that did not converge.
        silent: the variables whose gradient was zero, or on which nothing depended.
    """

    level: str
    terms: Mapping[str, float]
    gradient_norm: float
    rate: float
    direct_norm: float | None = None
    record: Mapping[str, float] = field(default_factory=dict)
    unsolved: str | None = None
    silent: tuple[str, ...] = ()


@dataclass
class Level:
    """One level of a chain, innermost first.

    Attributes:
        variables: the network's parameters that this level owns, by name.
        schedule: multiplier of the learning rate from progress in [0, 1].
        steps: how many it takes each turn.
        start: progress from which it takes part.
        end: progress from which it does no more.
        clip: the largest gradient norm; ``None`` for no limit.
        curvature: how the levels further below than the next respond in its hypergradient; ``None``
            where there are none.
        keeps_statistics: whether its forward passes move the running statistics of batch
            normalisation; only the innermost level's do.
        watch: sees every batch that a step begins with.
        step_down: goes on with less memory where a gradient ran out of it; ``None`` for not.
    """

    name: str
    variables: dict[str, nn.Parameter]
    objective: Objective
    batches: BatchStream
    optimizer: torch.optim.Optimizer
    schedule: Callable[[float], float]
    hypergradient: Hypergradient
    steps: int = 1
    start: float = 0.0
    end: float = 1.0
    clip: float | None = None
    keeps_statistics: bool = True
    curvature: Curvature | None = None
    watch: Callable[[Batch], None] | None = None
    step_down: StepDown | None = None
    _rates: list[float] = field(init=False)

    def __post_init__(self) -> None:
        self._rates = [float(group["lr"]) for group in self.optimizer.param_groups]

    @property
    def network(self) -> nn.Module:
        return self.objective.network

    def takes_part(self, progress: float) -> bool:
        """Whether it takes steps at that progress of the run."""
        return self.start <= progress and (progress < self.end or self.end >= 1)

    @property
    def share(self) -> float:
        """Of the run, in which it takes part."""
        return min(self.end, 1.0) - self.start

    def problem(self, progress: float, batch: Batch | None = None) -> LevelProblem:
        """The level as a pure function of parameters.

        Args:
            batch: what it reads; default: batches of its own, each drawn when it is first wanted.
        """
        batches = _Drawn(self.batches) if batch is None else None
        noise = Noise(next(iter(self.variables.values())).device)

        def terms(parameters: Mapping[str, Tensor] | None, step: int = 0) -> Terms:
            read = batch if batches is None else batches[step]
            assert read is not None
            if parameters is None:
                return self.objective(read, progress, None)
            with noise.same(step):
                return self.objective(read, progress, parameters)

        rate = self._rates[0] * self.schedule(progress)
        descent = Descent.of(self.optimizer, self.variables, rate)
        return LevelProblem(self.name, tuple(self.variables), terms, rate, descent, self.steps)

    def gradient(self, progress: float, below: Sequence[Level] = ()) -> Gradient:
        """The hypergradient on the next batch; nothing but the places in the data moves."""
        batch = next(self.batches)
        if self.watch is not None:
            self.watch(batch)
        if self.step_down is None:
            return self._gradient(batch, progress, below)
        streams = [level.batches for level in below]
        moment = self.step_down.moment(streams, statistics=self.keeps_statistics)
        return self.step_down(lambda: self._gradient(batch, progress, below), moment.put_back)

    def _gradient(self, batch: Batch, progress: float, below: Sequence[Level]) -> Gradient:
        problem = self.problem(progress, batch)
        inner = [level.problem(progress) for level in below]
        parameters = self.objective.parameters()
        present = Present(constants(parameters))
        if self.curvature is not None and inner:
            problem, inner[-1] = reduced(
                problem, inner, self.curvature, present, self.hypergradient
            )
        deep = len(inner) > 1 and not isinstance(self.curvature, (Frozen, NoneType))
        network = self.network
        with (
            only(parameters, self.variables),
            statistics(network, moving=self.keeps_statistics),
            norms_of_any_order(network, wanted=deep),
        ):
            found = self.hypergradient(problem, inner, parameters)
        self._refuse_other(found)
        return with_responses(found, self.curvature, present)

    def step(self, progress: float, below: Sequence[Level] = ()) -> StepRecord:
        """One step of the optimizer along the hypergradient.

        Raises:
            NasRestoreError: a loss or the hypergradient gave what none may give.
            RunStopped: a term or the gradient is not finite, a solver did not converge where it
                has to, or memory ran out; nothing was changed.
        """
        try:
            gradient = self.gradient(progress, below)
        except RunStopped as error:
            raise RunStopped(f"level {self.name!r}: {error.message}", hint=error.hint) from error
        values = {name: float(part.detach()) for name, part in gradient.terms.parts.items()}
        values["total"] = float(gradient.terms.total.detach())
        size, silent = _sizes(gradient.of)
        self._refuse_non_finite(values, size)
        rate = self._descend(gradient.of, size, progress)
        direct = norm(gradient.direct) if gradient.direct is not None else size
        return StepRecord(
            self.name,
            values,
            size,
            rate,
            direct_norm=direct if below else None,
            record=gradient.record,
            unsolved=gradient.unsolved,
            silent=silent,
        )

    def _refuse_other(self, found: Any) -> None:
        """A hypergradient of somebody's own need not give what it should."""
        wrong = None
        if not isinstance(found, Gradient):
            wrong = "nothing" if found is None else f"a {type(found).__name__}"
        else:
            for name, variable in self.variables.items():
                one = found.of.get(name, variable.shape)
                if one is not None and getattr(one, "shape", None) != variable.shape:
                    wrong = f"no gradient of the shape of {name}, {tuple(variable.shape)},"
        if wrong is not None:
            raise NasRestoreError(
                f"level {self.name!r}: {described(registry.hypergradient, self.hypergradient)} gave "
                f"{wrong}, expected a Gradient with a tensor, or None, for each variable",
                hint="nasrestore/search/hypergradient/first_order.py is the shortest that does",
            )

    def _refuse_non_finite(self, values: Mapping[str, float], norm: float) -> None:
        bad = [name for name, value in values.items() if not math.isfinite(value)]
        if bad:
            named = [name for name in bad if name != "total"] or bad
            shown = ", ".join(f"{name} is {values[name]}" for name in named)
            raise RunStopped(f"level {self.name!r}: loss not finite: {shown}")
        if not math.isfinite(norm):
            raise RunStopped(f"level {self.name!r}: the norm of the gradient is {norm}")

    def _descend(
        self, gradients: Mapping[str, Tensor | None], norm: float, progress: float
    ) -> float:
        scale = 1.0 if self.clip is None or norm <= self.clip else self.clip / norm
        for name, variable in self.variables.items():
            gradient = gradients[name]
            variable.grad = gradient if gradient is None or scale == 1.0 else gradient * scale
        rate = 0.0
        for group, start in zip(self.optimizer.param_groups, self._rates, strict=True):
            rate = group["lr"] = start * self.schedule(progress)
        self.optimizer.step()
        self.objective.hyper.project(self.variables)
        for variable in self.variables.values():
            variable.grad = None
        return rate

    def state_dict(self) -> dict[str, Any]:
        return {"optimizer": self.optimizer.state_dict(), "batches": self.batches.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.optimizer.load_state_dict(state["optimizer"])
        self.batches.load_state_dict(state["batches"])


def _sizes(gradients: Mapping[str, Tensor | None]) -> tuple[float, tuple[str, ...]]:
    """The Euclidean norm of all, and the names of those that are zero or not there."""
    there = {name: gradient for name, gradient in gradients.items() if gradient is not None}
    if not there:
        return 0.0, tuple(gradients)
    norms = torch.stack([one.float() for one in torch._foreach_norm(list(there.values()))])
    # One transfer for all of them: on a GPU each would wait for everything before it.
    *each, whole = torch.cat([norms, norms.norm().reshape(1)]).tolist()
    heard = {name for name, size in zip(there, each, strict=True) if size != 0}
    return whole, tuple(name for name in gradients if name not in heard)


class _Drawn:
    """Batches by number, drawn when they are first wanted."""

    def __init__(self, batches: BatchStream) -> None:
        self._batches = batches
        self._drawn: list[Batch] = []

    def __getitem__(self, number: int) -> Batch:
        while len(self._drawn) <= number:
            self._drawn.append(next(self._batches))
        return self._drawn[number]
