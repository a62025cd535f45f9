r"""TMICS's search on a GPU: turns a second and peak memory for each memory setting, and frames restored a second.

    python -m benchmarks.gpu.tmics_search
    python -m benchmarks.gpu.tmics_search --device cpu --turns 2 --patch 32 --width 4 --size 64x64   # smoke test

A turn is a step of each of the three levels, as ``nasrestore search tmics`` takes them after the warm-up, on random
clips and flows that are on the device already. Restoration: 640x480 through the networks of the paper's light rain
(flows given; RAFT by itself is timed with untrained weights, which cost as much as trained ones) and heavy rain.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from benchmarks.gpu.rdmc_search import Device, RandomBatches, turn_of
from benchmarks.paired import alternate, arguments, print_table, write_result
from nasrestore.api.phases import make_levels, set_up
from nasrestore.assemble.network import device_named, plain_network, supernet
from nasrestore.assemble.prepare import Prepared, find_genotype, prepare
from nasrestore.graph.compile import parse_size
from nasrestore.graph.derive import derive
from nasrestore.network.inference import for_inference
from nasrestore.spec.overrides import python_overrides

SEARCH_TURNS = 80 * 5  # epochs, times twenty sequences in batches of four
MEMORY = ("plain", "operation", "mixture")
WARM_UPS = 2


@dataclass(frozen=True)
class RandomClips:
    degraded: Tensor
    clean: Tensor
    flow: Tensor


class RandomSplits:
    """A stream of its own for each level: clips N T C H W in [0, 1] on the device, with flows."""

    def __init__(self, batch: int, frames: int, patch: int, device: torch.device) -> None:
        self.shape, self.device = (batch, frames, 3, patch, patch), device

    def stream(self, level: object, seed: int) -> RandomBatches:
        generator = torch.Generator().manual_seed(seed)
        clean = torch.rand(self.shape, generator=generator)
        degraded = (clean + 0.2 * torch.rand(self.shape, generator=generator)).clamp(0, 1)
        flow = torch.randn((*self.shape[:2], 2, *self.shape[3:]), generator=generator)
        middle = clean[:, self.shape[1] // 2].contiguous(memory_format=torch.channels_last)
        moved = [tensor.to(self.device) for tensor in (degraded, middle, flow)]
        return RandomBatches(RandomClips(*moved))  # type: ignore[arg-type]


def prepared_recipe(options: argparse.Namespace) -> Prepared:
    values = {
        "space.width": options.width,
        "data.patch": options.patch,
        "data.batch": options.batch,
        "data.flow.model": "none",
        "device": options.device,
    }
    return prepare("tmics", python_overrides(values))


def searches(
    prepared: Prepared, splits: RandomSplits, device: Device
) -> tuple[dict[str, Callable[[], None]], dict[str, float | None], dict[str, str]]:
    """A turn of each memory setting that gets through its first ones, its peak, and why others do not."""
    turns: dict[str, Callable[[], None]] = {}
    peaks: dict[str, float | None] = {}
    left_out: dict[str, str] = {}
    recipe = prepared.recipe
    for setting in MEMORY:
        torch.manual_seed(recipe.seed)
        network = supernet(recipe, prepared.graph)
        network.memory = setting
        levels = make_levels(
            "search", recipe, recipe.search, network, splits, splits.device  # type: ignore[arg-type]
        )  # fmt: skip
        turn = turn_of(levels)
        try:
            for _ in range(WARM_UPS):
                turn()
            peaks[setting] = device.peak_gib(turn)
            turns[setting] = turn
        except (RuntimeError, MemoryError) as error:
            left_out[setting] = str(error).splitlines()[0][:200]
    return turns, peaks, left_out


def restorations(
    prepared: Prepared, size: tuple[int, int], device: torch.device
) -> dict[str, Callable[[], object]]:
    """One frame through each network, and its optical flow by RAFT."""
    from torchvision.models.optical_flow import raft_large

    ways: dict[str, Callable[[], object]] = {}
    clip = torch.rand(1, prepared.graph.frames or 1, 3, *size, device=device)
    flow = torch.zeros(1, clip.shape[1], 2, *size, device=device)
    for name in ("tmics-light", "tmics-heavy"):
        genotype, _ = find_genotype(name, prepared.graph)
        network = for_inference(plain_network(derive(prepared.graph, genotype))).to(device)
        given = {"rainy": clip, "flow": flow} if network.flow_input else clip

        @torch.inference_mode()
        def restored(network: Any = network, given: Any = given) -> object:
            return network(given)

        ways[name] = restored
    raft = raft_large(weights=None).eval().to(device)
    sides = [max(128, -(-side // 8) * 8) for side in size]
    pairs = torch.rand(2, clip.shape[1] - 1, 3, *sides, device=device) * 2 - 1

    @torch.inference_mode()
    def flows() -> object:
        return raft(pairs[0], pairs[1])

    ways["RAFT, flows of one frame"] = flows
    return ways


def main() -> None:
    parser = arguments(__doc__, rounds=20)
    parser.add_argument("--turns", type=int, dest="rounds", help="another name of --rounds")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--patch", type=int, default=240, help="side of a patch, pixels")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--width", type=int, default=96)
    parser.add_argument("--size", default="480x640", help="HEIGHTxWIDTH of restored frames")
    options = parser.parse_args()
    prepared = prepared_recipe(options)
    place = device_named(options.device)
    set_up(prepared.recipe, place)
    device = Device(place)
    splits = RandomSplits(options.batch, prepared.graph.frames or 1, options.patch, place)
    turns, peaks, left_out = searches(prepared, splits, device)
    rows: dict[str, Any] = {}
    if turns:
        first = next(iter(turns))
        measured = alternate(
            turns, rounds=options.rounds, warm_ups=1, synchronise=device.synchronise
        )
        rows = measured.summary(first)
        print_table(rows, first)
        for name, row in rows.items():
            seconds = measured.median(name)
            row["turns_per_second"] = round(1 / seconds, 3)
            row["hours_of_the_search"] = round(SEARCH_TURNS * seconds / 3600, 3)
            row["peak_gib"] = peaks[name]
            print(f"{name}: {1 / seconds:.2f} turns a second, peak {peaks[name]} GiB")
    for name, reason in left_out.items():
        print(f"{name}: left out, {reason}")
    size = parse_size(options.size) or (480, 640)
    ways = restorations(prepared, size, place)
    frames = alternate(ways, rounds=options.rounds, synchronise=device.synchronise)
    restored = frames.summary("tmics-heavy")
    for name, row in restored.items():
        row["per_second"] = round(1 / frames.median(name), 3)
        print(f"{name} at {options.size}: {row['per_second']} a second")
    settings = {key: getattr(options, key) for key in ("batch", "patch", "width", "size")}
    content = {
        "settings": {**settings, "device": str(place)},
        "rounds": options.rounds,
        "search": {"variants": rows, "left_out": left_out},
        "restore": restored,
    }
    print(write_result("gpu-tmics-search", content, options.out))


if __name__ == "__main__":
    main()
