"""What a network costs: parameters, multiply-adds, latency."""

from __future__ import annotations

import os
import statistics
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nasrestore.assemble.prepare import Prepared, find_genotype, prepare
from nasrestore.errors import NasRestoreError
from nasrestore.graph.cost import graph_cost
from nasrestore.graph.derive import derive
from nasrestore.graph.genotype import genotype_of
from nasrestore.graph.ir import SearchGraph
from nasrestore.spec.load import Override

if TYPE_CHECKING:
    from nasrestore.network.build import GraphNetwork

REPEATS = 5
MOST_PIXELS = 500_000_000  # no larger image is read either


@dataclass(frozen=True)
class Profile:
    """The cost of one network on one input.

    Attributes:
        parameters: counted on the built network.
        macs: multiply-adds by fvcore, batch normalisation and resampling included; ``None``
            where fvcore is not installed.
        analytic_macs: of convolutions alone, from the signatures; ``None`` where one does not tell.
        unsupported: operations that fvcore does not know, with their number.
        latency: median seconds of one image or middle frame, as ``restore`` runs it, optical flow not
            counted.
    """

    name: str
    size: tuple[int, int]
    parameters: int
    macs: int | None
    analytic_macs: int | None
    by_operator: dict[str, int]
    unsupported: dict[str, int]
    latency: float | None
    device: str
    notes: tuple[str, ...]


def profile(
    recipe: str | os.PathLike[str],
    genotype: str | None = None,
    overrides: Sequence[Override] = (),
    *,
    size: tuple[int, int] = (128, 128),
    device: str | None = None,
    latency: bool = True,
) -> Profile:
    """The cost of a derived network of a recipe's space.

    Args:
        genotype: path or shipped name; ``None`` only where the space leaves nothing open.
        size: height and width of the input in pixels; for counting it is rounded up to what the
            network takes.

    Raises:
        NasRestoreError: the genotype is missing or for another space.
    """
    prepared = prepare(recipe, overrides)
    graph, notes = _derived(prepared, genotype)
    import torch  # last: input errors do not wait for it

    from nasrestore.assemble.network import device_named, plain_network

    place = device_named(device or prepared.recipe.device)
    torch.manual_seed(0)
    network = plain_network(graph).eval()
    whole = _rounded(size, graph.multiple)
    if whole != size:
        notes.append(
            f"{size[0]}x{size[1]} counted as {whole[0]}x{whole[1]}, a multiple of {graph.multiple}"
        )
    macs, by_operator, unsupported = _count(network, whole, notes)
    return Profile(
        prepared.recipe.recipe,
        whole,
        sum(p.numel() for p in network.parameters()),
        macs,
        _analytic(graph, whole),
        by_operator,
        unsupported,
        _latency(network, whole, place) if latency else None,
        str(place),
        tuple(notes),
    )


def _derived(prepared: Prepared, genotype: str | None) -> tuple[SearchGraph, list[str]]:
    """The graph of the network that is meant, and what is to be said of its genotype."""
    if genotype is not None:
        decided, notes = find_genotype(genotype, prepared.graph)
        return derive(prepared.graph, decided), notes
    if prepared.graph.choices:
        raise NasRestoreError(
            f"space {prepared.graph.name!r} leaves choices open",
            hint="name the network: --genotype FILE",
        )
    return derive(prepared.graph, genotype_of(prepared.graph, {})), []


def _rounded(size: tuple[int, int], multiple: int) -> tuple[int, int]:
    """The size that is counted: a multiple on both sides, and no more than an image may have."""
    height, width = (-(-side // multiple) * multiple for side in size)
    if height * width > MOST_PIXELS:
        raise NasRestoreError(
            f"{height}x{width} is {height * width / 1e6:,.0f} megapixels, "
            f"over the limit of {MOST_PIXELS // 10**6}",
            hint="--size of the images that are restored",
        )
    return height, width


def _analytic(graph: SearchGraph, size: tuple[int, int]) -> int | None:
    try:
        return int(graph_cost(graph, size).macs)
    except NasRestoreError:
        return None


def _count(
    network: GraphNetwork, size: tuple[int, int], notes: list[str]
) -> tuple[int | None, dict[str, int], dict[str, int]]:
    import torch

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # fvcore imports what torch deprecates
            from fvcore.nn import FlopCountAnalysis
    except ImportError:
        notes.append("fvcore is not installed: multiply-adds are the analytic ones alone")
        return None, {}, {}
    shapes = {
        name: (1, *(() if s.frames is None else (s.frames,)), s.channels, *size)
        for name, s in network.graph.inputs.items()
    }
    zeros = {name: torch.zeros(shape) for name, shape in shapes.items()}
    example = next(iter(zeros.values())) if len(zeros) == 1 else zeros
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        analysis = FlopCountAnalysis(network, (example,))
        analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
        by_operator = {name: int(count) for name, count in analysis.by_operator().items()}
        total = int(analysis.total())
        unsupported = {name: int(n) for name, n in analysis.unsupported_ops().items()}
    return total, by_operator, unsupported


def _latency(network: GraphNetwork, size: tuple[int, int], device: Any) -> float:
    import numpy as np

    from nasrestore.engine.model import RestorationModel

    model = RestorationModel(network, device=device, flow=_no_flow)
    image = np.zeros((*size, network.channels), np.uint8)
    image = image[..., 0] if network.channels == 1 else image
    window = [image] * (network.frames or 1)
    times = []
    for _ in range(REPEATS + 1):
        began = time.perf_counter()
        if network.frames is None:
            model.restore(image)
        else:
            model.restorer.clip(window)
        times.append(time.perf_counter() - began)
    return statistics.median(times[1:])


def _no_flow(clip: Any) -> Any:
    """Zero flow for N T C H W: what it takes to compute one is not the network's."""
    return clip.new_zeros(*clip.shape[:2], 2, *clip.shape[3:])
