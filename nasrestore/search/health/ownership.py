"""Who owns the architecture, and whether a checkpoint would hold it; looked at before the first step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from nasrestore.errors import few
from nasrestore.network.architecture import module_key
from nasrestore.search.health.finding import Finding
from nasrestore.search.level import Level

ARCHITECTURE = "architecture."  # of the names of a network's architecture parameters


def check_chain(network: nn.Module, levels: Sequence[Level]) -> list[Finding]:
    """Whether every choice hangs on parameters of the network that exactly one level owns."""
    owners = _owners(levels)
    found = list(_shared(owners))
    architecture = getattr(network, "architecture", None)
    graph = getattr(network, "graph", None)
    choices = () if graph is None else graph.choices
    if not choices:
        return found
    if architecture is None:
        return [*found, _undecided([choice.name for choice in choices])]
    parameters = {id(p): name for name, p in network.named_parameters()}
    kept = {tensor.data_ptr() for tensor in network.state_dict().values()}
    own, single = _logits(architecture), _single(architecture)
    outside, frozen, blind = [], [], []
    for choice, leaves in _leaves(architecture).items():
        logits = own.get(choice)
        if not leaves and logits is not None and logits.requires_grad and id(logits) in parameters:
            blind += [] if choice in single else [choice]
        elif not leaves or any(id(x) not in parameters or x.data_ptr() not in kept for x in leaves):
            outside.append(choice)
        elif not any(id(leaf) in owners for leaf in leaves):
            frozen.append(choice)
    found += judge_kept(outside)
    if blind:
        found.append(_blind(blind))
    if frozen:
        found.append(_frozen(frozen, {choice.name: choice.group for choice in choices}))
    return found


def judge_kept(outside: Sequence[str]) -> list[Finding]:
    """Whether checkpoints hold what decides; ``outside`` are the choices of which they do not."""
    if outside:
        return [_outside(outside)]
    sentence = "the logits of all choices are parameters of the network, in every checkpoint"
    return [Finding("ok", "checkpoint", "architecture", sentence)]


def constant_variables(network: nn.Module) -> set[str]:
    """Names of logits that can have no gradient, since their choice has one candidate alone."""
    architecture = getattr(network, "architecture", None)
    if architecture is None:
        return set()
    single = _single(architecture)
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    leaves = _leaves(architecture)
    return {names[id(x)] for c in single for x in leaves.get(c, ()) if id(x) in names}


def _single(architecture: nn.Module) -> set[str]:
    """The choices of one candidate."""
    choices: Any = getattr(architecture, "choices", ())
    return {choice.name for choice in choices if len(choice.candidates) == 1}


def _logits(architecture: nn.Module) -> dict[str, Tensor]:
    """The logits of each choice that the architecture holds as its parameters."""
    held: Any = getattr(architecture, "logits", {})
    choices: Any = getattr(architecture, "choices", ())
    keys = {choice.name: module_key(choice.name) for choice in choices}
    return {name: held[key] for name, key in keys.items() if key in held}


def _owners(levels: Sequence[Level]) -> dict[int, list[str]]:
    """The levels that own a parameter, by its id."""
    owners: dict[int, list[str]] = {}
    for level in levels:
        for variable in level.variables.values():
            owners.setdefault(id(variable), []).append(level.name)
    return owners


def _shared(owners: Mapping[int, list[str]]) -> Iterator[Finding]:
    for names in dict.fromkeys(tuple(names) for names in owners.values() if len(names) > 1):
        yield Finding(
            "hard",
            "ownership",
            names[0],
            f"the levels {' and '.join(map(repr, names))} own the same parameters: each undoes "
            "what the other did",
            "give every parameter group to one level",
        )


def _leaves(architecture: nn.Module) -> dict[str, list[Tensor]]:
    """For each choice, the tensors that its mixing weights are computed from by autograd."""
    devices = {p.device for p in architecture.parameters() if p.device.type == "cuda"}
    with torch.random.fork_rng(devices=list(devices)), torch.enable_grad():
        weights = architecture.mixing_weights()  # type: ignore[operator]
    return {choice: _behind(tensor) for choice, tensor in weights.items()}


def _behind(tensor: Tensor) -> list[Tensor]:
    if tensor.grad_fn is None:
        return [tensor] if tensor.requires_grad else []
    found: list[Tensor] = []
    waiting: list[Any] = [tensor.grad_fn]
    seen: set[Any] = set()
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            found.append(node.variable)
        waiting += [before for before, _ in node.next_functions]
    return found


def _undecided(choices: Sequence[str]) -> Finding:
    return Finding(
        "hard",
        "checkpoint",
        "architecture",
        f"the network has no architecture, although its space leaves {few(choices)} to decide",
        "build the network from the space's own graph",
    )


def _outside(choices: Sequence[str]) -> Finding:
    return Finding(
        "hard",
        "checkpoint",
        few(choices),
        f"what decides {few(choices)} is not a parameter of the network: no checkpoint holds it, "
        "and whoever loads one decides at random",
        "make the logits nn.Parameter of a module of the network",
    )


def _blind(choices: Sequence[str]) -> Finding:
    return Finding(
        "hard",
        "gradient",
        few(choices),
        f"the mixing weights of {few(choices)} do not depend on the logits: no search can move them",
        "the relaxation must compute its weights from the logits that it is given, by operations "
        "that gradients go through",
    )


def _frozen(choices: Sequence[str], groups: Mapping[str, str]) -> Finding:
    wanted = list(dict.fromkeys(groups[choice] for choice in choices))
    variables = wanted[0] if len(wanted) == 1 else f"[{', '.join(wanted)}]"
    return Finding(
        "soft",
        "ownership",
        few(choices),
        f"no level owns the logits of {few(choices)}: they stay as they started",
        f"give a level variables: {variables}, if they are to be searched",
    )
