"""Networks, devices and objectives from their names."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

import nasrestore.losses.contrastive
import nasrestore.losses.pixel
import nasrestore.losses.structure
import nasrestore.losses.variables
import nasrestore.ops
import nasrestore.search.hypergradient  # noqa: F401  attaches the factories
from nasrestore import registry
from nasrestore.errors import NasRestoreError, raise_all
from nasrestore.graph.expand import Problems
from nasrestore.graph.ir import SearchGraph
from nasrestore.graph.recipe_check import named, parameters
from nasrestore.network.build import GraphNetwork, build
from nasrestore.search.objective import Objective, Term
from nasrestore.spec.recipe import NamedSpec, RecipeSpec


def device_named(name: str) -> torch.device:
    """The device that a recipe or ``--device`` names; ``auto`` is a GPU where there is one.

    Raises:
        NasRestoreError: the name is unknown, or there is no such device here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise NasRestoreError(
            f"unknown device {name!r}", hint="auto, cpu, cuda or cuda:1"
        ) from None
    if device.type not in ("cpu", "cuda"):
        raise NasRestoreError(f"device {name!r} is not supported", hint="auto, cpu, cuda or cuda:1")
    if device.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (device.index or 0) >= count:
            found = f"{count} CUDA devices" if count else "no CUDA device"
            raise NasRestoreError(
                f"device {name!r} is not there: this machine has {found}",
                hint="use --device cpu, or auto",
            )
    return device


def make(names: registry.Registry, spec: NamedSpec, **extra: Any) -> Any:
    """What a name with parameters stands for."""
    values = named(names, spec)
    return names.factory(spec.name)(**{**(values or {}), **extra})


def supernet(recipe: RecipeSpec, graph: SearchGraph) -> GraphNetwork:
    """The supernet of a graph; the derived network of one without choices."""
    return build(
        graph,
        registry.operation.factories(),
        relaxation=make(registry.relaxation, recipe.search.relaxation),
        spread=recipe.search.start_spread,
    )


def plain_network(graph: SearchGraph) -> GraphNetwork:
    """The network of a derived graph."""
    return build(graph, registry.operation.factories())


def objective(recipe: RecipeSpec, name: str, network: nn.Module, device: torch.device) -> Objective:
    """An objective of the recipe on a network; terms of weight 0 are never made.

    Raises:
        NasRestoreError: a term needs weights that are not there.
    """
    terms = {}
    for loss, spec in recipe.objectives[name].items():
        if spec.weight == 0:
            continue
        problems = Problems()
        at = recipe.tree.at("objectives", name, loss)
        values = parameters(registry.loss, loss, at, spec.params, problems)
        raise_all(problems.errors)
        made = registry.loss.factory(loss)(**(values or {})).to(device)
        terms[loss] = Term(made, spec.weight, spec.output)
    return Objective(network, terms)
