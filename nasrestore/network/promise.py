"""Whether the operations of plugins put out what their signatures promise, tried once on zeros.

Built-in operations are held against theirs by a test. A plugin's is tried when a network is built, so
that no step pays for it, and so that what would broadcast without a word is found as well.
"""

from __future__ import annotations

import copy
from collections.abc import Container, Iterator
from dataclasses import replace
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor, nn

from nasrestore import registry
from nasrestore.errors import NasRestoreError
from nasrestore.graph.expand import output_of
from nasrestore.graph.ir import Operation, Shape
from nasrestore.network.architecture import module_key
from nasrestore.network.mixture import Link
from nasrestore.network.node import NodeModule
from nasrestore.plugin_errors import plugin_places

SIDES = (32, 48)  # at least, pixels; they differ, so that an exchange of both is seen


def check_plugins(network: nn.Module) -> None:
    """Tries every operation of a plugin in a network on zeros.

    One that raises is passed over: it may be made for other sizes or another device, and says so
    itself where it is used.

    Raises:
        NasRestoreError: what one puts out is not what its signature says; the first of them, with
            its node.
    """
    places = plugin_places(registry.operation)
    if not places:
        return
    wrong = []
    tried: set[int] = set()
    for where, operation, module, shape in _of_plugins(network, places):
        if id(module) not in tried:
            tried.add(id(module))
            found = _contradiction(operation, module, shape)
            who = f"the plugin's operation {operation.kind!r} ({places[operation.kind]})"
            wrong += [] if found is None else [f"{where}: {who} {found}"]
    if wrong:
        more = f" (and {len(wrong) - 1} more like it)" if len(wrong) > 1 else ""
        raise NasRestoreError(
            wrong[0] + more,
            hint="mend the operation, or what its signature says: channels, scale or clip",
        )


def _of_plugins(
    network: nn.Module, names: Container[str]
) -> Iterator[tuple[str, Operation, nn.Module, Shape]]:
    """Where it is, what it is, its module, and the shape that it reads."""
    for module in network.modules():
        if isinstance(module, NodeModule):
            for where, operation, made, shape in _operations(module):
                if operation.kind in names:
                    yield where, operation, made, shape


def _operations(module: NodeModule) -> Iterator[tuple[str, Operation, nn.Module, Shape]]:
    node = module.node
    if node.between is not None and module.between is not None:
        yield f"node {node.name!r}, between", node.between, module.between, node.read
    for operation in node.candidates:
        made = module.operations.candidates[module_key(operation.label)]
        what = f", candidate {operation.label!r}" if node.choice else ""
        yield f"node {node.name!r}{what}", operation, made, node.input
    for edge in module.edges:
        if edge.adapter is not None:
            link = next(
                m for m in module.links[module_key(edge.name)].modules() if isinstance(m, Link)
            )
            shape = replace(edge.from_shape, frames=None)
            yield f"link {edge.name!r}, adapter", edge.adapter, link.adapter, shape


def _contradiction(operation: Operation, module: nn.Module, shape: Shape) -> str | None:
    """What it puts out and should not, in words."""
    promised = output_of(operation, replace(shape, scale=Fraction(1)))
    sides = [_whole(side, promised.scale) for side in SIDES]
    given = _size(shape, sides)
    wanted = _size(promised, [int(side * promised.scale) for side in sides])
    try:
        put_out = _tried(module, torch.zeros(1, *given))
    except KeyboardInterrupt:
        raise
    except BaseException:  # sys.exit() too
        return None
    if isinstance(put_out, Tensor) and tuple(put_out.shape) == (1, *wanted):
        return None
    found = f"a {type(put_out).__name__}" if put_out is not None else "nothing"
    if isinstance(put_out, Tensor):
        found = _shown(put_out.shape[1:])
        if put_out.shape[:1] != (1,):
            found = f"a tensor of shape {tuple(put_out.shape)}"
    return f"put out {found} for {_shown(given)}, its signature says {_shown(wanted)}"


def _tried(module: nn.Module, zeros: Tensor) -> Any:
    """What a copy puts out: neither the module nor the random numbers to come are touched."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        return copy.deepcopy(module).eval()(zeros)


def _whole(side: int, scale: Fraction) -> int:
    """The side, or the next larger one that is whole after scaling."""
    return -(-side // scale.denominator) * scale.denominator


def _size(shape: Shape, sides: list[int]) -> tuple[int, ...]:
    clip = () if shape.frames is None else (shape.frames,)
    return (*clip, shape.channels, *sides)


def _shown(size: tuple[int, ...]) -> str:
    return "x".join(map(str, size)) or "a single number"
