"""Networks, devices and objectives from their names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

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
from nasrestore.graph.named import named, parameters
from nasrestore.graph.reach import (
    ARCHITECTURE,
    groups_read,
    reads_architecture,
    reads_variables,
)
from nasrestore.network.build import GraphNetwork, build
from nasrestore.search.hyper import HyperParameters, HyperScalar
from nasrestore.search.objective import Objective, Term
from nasrestore.spec.recipe import HyperSpec, NamedSpec, RecipeSpec, TermSpec


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


def hyper_parameters(
    recipe: RecipeSpec, state: Mapping[str, torch.Tensor] | None = None
) -> HyperParameters:
    """The scalars outside the network, at their start or as a checkpoint has them."""

    def scalar(name: str, spec: HyperSpec) -> HyperScalar:
        least, most = spec.range or (None, None)
        return HyperScalar(name, spec.start, least, most, spec.transform, spec.group)

    made = HyperParameters(scalar(name, spec) for name, spec in recipe.hyper.items())
    if state:
        made.load_state_dict(dict(state))
    return made


def objective(
    recipe: RecipeSpec,
    name: str,
    network: GraphNetwork,
    device: torch.device,
    hyper: HyperParameters | None = None,
) -> Objective:
    """An objective of the recipe on a network; terms of weight 0 are never made.

    Args:
        hyper: the scalars that weights may name; default: the recipe's, at their start.

    Raises:
        NasRestoreError: a term needs weights that are not there.
    """
    terms = {}
    for key, spec in recipe.objectives[name].items():
        if spec.weight == 0:
            continue
        problems = Problems()
        at = recipe.tree.at("objectives", name, key)
        values = parameters(registry.loss, spec.loss, at, spec.params, problems)
        raise_all(problems.errors)
        made = registry.loss.factory(spec.loss)(**(values or {})).to(device)
        read = _variables_read(spec, network) if reads_variables(spec.loss) else None
        if read == ():
            continue  # a group that a derived network has no more, such as its decided logits
        terms[key] = Term(made, spec.weight, spec.output, read)
    known = hyper_parameters(recipe).to(device) if hyper is None else hyper
    return Objective(network, terms, hyper=known)


def _variables_read(term: TermSpec, network: GraphNetwork) -> tuple[str, ...]:
    """The names of the parameters that a term's loss reads."""
    groups = network.parameter_groups()
    found = [name for g in groups_read(term, network.graph.deciding) for name in groups.get(g, ())]
    if reads_architecture(term.loss):  # nodes may be in a group of the same name
        found = [name for name in found if name.startswith(f"{ARCHITECTURE}.")]
    return tuple(found)
