"""Chains of levels from a recipe's ``levels``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

import nasrestore.search.schedule  # noqa: F401  attaches the factories
from nasrestore import registry
from nasrestore.assemble.network import make, objective
from nasrestore.errors import NasRestoreError
from nasrestore.graph.named import named
from nasrestore.network.build import GraphNetwork
from nasrestore.search.hyper import HyperParameters
from nasrestore.search.level import BatchStream, Level
from nasrestore.search.objective import Augmentation, Objective
from nasrestore.spec.recipe import LevelSpec, PhaseSpec, RecipeSpec


@registry.optimizer("adam")
def adam(variables: Any, *, rate: float, betas: Any, weight_decay: float) -> torch.optim.Optimizer:
    return torch.optim.Adam(
        variables, lr=rate, betas=tuple(betas), weight_decay=weight_decay, fused=True
    )


@registry.optimizer("adamw")
def adamw(variables: Any, *, rate: float, betas: Any, weight_decay: float) -> torch.optim.Optimizer:
    return torch.optim.AdamW(
        variables, lr=rate, betas=tuple(betas), weight_decay=weight_decay, fused=True
    )


@registry.optimizer("sgd")
def sgd(
    variables: Any, *, rate: float, momentum: float, weight_decay: float
) -> torch.optim.Optimizer:
    return torch.optim.SGD(variables, lr=rate, momentum=momentum, weight_decay=weight_decay)


def schedule(phase: PhaseSpec, level: LevelSpec) -> Callable[[float], float]:
    """The level's schedule; what the recipe says in epochs becomes shares of the run.

    It goes from the beginning of the run to the level's end.
    """
    values = named(registry.schedule, level.schedule) or {}
    end = share_of(phase, level.end)
    if "after" in values:
        unit = end * (phase.epochs or 1)
        shares = (epoch / unit for epoch in values["after"])
        values["after"] = [share for share in shares if share <= 1]
    made: Callable[[float], float] = registry.schedule.factory(level.schedule.name)(**values)
    return made if end == 1 else lambda progress: made(min(progress / end, 1.0))


def share_of(phase: PhaseSpec, epoch: float | None) -> float:
    """An epoch, or without epochs a share, as a share of the run; ``None`` is its end."""
    return 1.0 if epoch is None else epoch / (phase.epochs or 1)


def chain(
    recipe: RecipeSpec,
    phase: PhaseSpec,
    network: GraphNetwork,
    hyper: HyperParameters,
    streams: Callable[[LevelSpec], BatchStream],
    device: torch.device,
) -> list[Level]:
    """The levels of a phase, innermost first.

    Args:
        hyper: the scalars outside the network, on the device.
        streams: gives the batches of a level.
    """
    groups = {**network.parameter_groups(), **hyper.groups()}
    objectives: dict[str, Objective] = {}
    levels = []
    for i, spec in enumerate(phase.levels):
        if spec.objective not in objectives:
            objectives[spec.objective] = objective(recipe, spec.objective, network, device, hyper)
        variables = _variables(spec, groups)
        if not variables:
            raise NasRestoreError(
                f"level {spec.name!r} has no variables: no part of this network is in its groups",
                hint="leave the level out",
            )
        levels.append(
            Level(
                name=spec.name,
                variables=variables,
                objective=_augmented(objectives[spec.objective], spec),
                batches=streams(spec),
                optimizer=make(
                    registry.optimizer, spec.optimizer, variables=list(variables.values())
                ),
                schedule=schedule(phase, spec),
                hypergradient=make(registry.hypergradient, spec.hypergradient),
                curvature=None
                if spec.curvature is None
                else make(registry.curvature, spec.curvature),
                steps=spec.steps,
                start=share_of(phase, spec.start),
                end=share_of(phase, spec.end),
                clip=spec.clip,
                keeps_statistics=i == 0,
            )
        )
    return levels


def _augmented(shared: Objective, level: LevelSpec) -> Objective:
    """The objective with the level's own augmentation; its losses stay shared."""
    if level.augment is None:
        return shared
    augmentation = Augmentation(level.augment.noise, level.augment.degradation)
    return Objective(shared.network, shared.terms, hyper=shared.hyper, augmentation=augmentation)


def _variables(
    spec: LevelSpec, groups: Mapping[str, Mapping[str, torch.nn.Parameter]]
) -> dict[str, torch.nn.Parameter]:
    """The parameters of the level's groups; a group may be gone from a derived network."""
    names = [spec.variables] if isinstance(spec.variables, str) else spec.variables
    return {k: p for name in names for k, p in groups.get(name, {}).items()}
