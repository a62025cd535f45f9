r"""RDMC's search on a GPU: turns a second, peak memory, and how long the whole protocol would take.

    python -m benchmarks.gpu.rdmc_search
    python -m benchmarks.gpu.rdmc_search --device cpu --turns 2 --patch 32 --width 4 \
        --no-compile --no-contrastive                          # smoke test

A turn is one weight step and one architecture step, as ``nasrestore search rdmc`` takes them, on
batches of random images that are on the device already: loading data is not measured. The contrastive
term runs VGG-19 at its full size with untrained weights, which cost as much as trained ones.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.paired import alternate, arguments, print_table, write_result
from nasrestore.api.phases import make_levels, set_up
from nasrestore.assemble.network import device_named, plain_network, supernet
from nasrestore.assemble.prepare import Prepared, find_genotype, prepare
from nasrestore.graph.derive import derive
from nasrestore.losses.contrastive import vgg19_convolutions
from nasrestore.network.build import GraphNetwork
from nasrestore.search.level import Level
from nasrestore.spec.overrides import python_overrides

SEARCH_TURNS = 150 * 375  # epochs, times 3000 patches in batches of 8
TRAIN_STEPS = 100 * 750  # epochs, times 6000 patches in batches of 8
WARM_UPS = 2
BASELINE = "eager fp32"
VARIANTS = {
    BASELINE: (False, False),
    "eager bf16": (False, True),
    "compiled fp32": (True, False),
    "compiled bf16": (True, True),
}


@dataclass(frozen=True)
class RandomBatch:
    degraded: Tensor
    clean: Tensor


class RandomBatches:
    """The same random batch for ever, where a level expects its stream."""

    def __init__(self, batch: RandomBatch) -> None:
        self.batch = batch

    def __next__(self) -> RandomBatch:
        return self.batch

    def __len__(self) -> int:
        return 1

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        return None


class RandomSplits:
    """A stream of its own for each level, N C H W in [0, 1] on the device."""

    def __init__(self, batch: int, patch: int, device: torch.device) -> None:
        self.shape, self.device = (batch, 3, patch, patch), device

    def stream(self, level: object, seed: int) -> RandomBatches:
        generator = torch.Generator().manual_seed(seed)
        clean, noise = (torch.rand(self.shape, generator=generator) for _ in range(2))
        degraded = (clean + 0.2 * noise).clamp(0, 1)
        layout = {"device": self.device, "memory_format": torch.channels_last}
        return RandomBatches(RandomBatch(degraded.to(**layout), clean.to(**layout)))


def untrained_vgg19(folder: Path) -> Path:
    """A file as torchvision's VGG-19 weights are, with random ones."""
    generator = torch.Generator().manual_seed(0)
    state = {}
    for layer in vgg19_convolutions():
        scale = (2 / (9 * layer.inputs)) ** 0.5
        shape = layer.shapes["weight"]
        state[f"features.{layer.index}.weight"] = torch.randn(shape, generator=generator) * scale
        state[f"features.{layer.index}.bias"] = torch.zeros(layer.outputs)
    path = folder / "vgg19.pth"
    torch.save(state, path)
    return path


def prepared_recipe(options: argparse.Namespace, folder: Path) -> Prepared:
    """The recipe ``rdmc`` with the patch, batch and width that are to be measured."""
    contrastive: object = 0
    if options.contrastive:
        contrastive = {"weight": 0.1, "weights": str(untrained_vgg19(folder))}
    values = {
        "space.width": options.width,
        "data.patch": options.patch,
        "data.batch": options.batch,
        "device": options.device,
        "objectives.restoration.contrastive": contrastive,
    }
    return prepare("rdmc", python_overrides(values))


def levels_of(
    phase: str, prepared: Prepared, splits: RandomSplits, *, compiled: bool, bf16: bool
) -> list[Level]:
    """The levels of a phase on a fresh network: a supernet to search, the paper's to train."""
    recipe = prepared.recipe
    torch.manual_seed(recipe.seed)
    network: GraphNetwork
    if phase == "search":
        network, spec = supernet(recipe, prepared.graph), recipe.search
    else:
        genotype, _ = find_genotype("rdmc-paper", prepared.graph)
        network, spec = plain_network(derive(prepared.graph, genotype)), recipe.train
    levels = make_levels(phase, recipe, spec, network, splits, splits.device)  # type: ignore[arg-type]
    for level in levels:
        level.objective.bf16 = bf16
    if compiled:
        for stage in network.stages:
            stage.compile()  # in place: parameters keep their names
    return levels


def turn_of(levels: list[Level]) -> Callable[[], None]:
    def turn() -> None:
        for index, level in enumerate(levels):
            level.step(0.5, levels[:index])

    return turn


class Device:
    """What differs between CPU and CUDA in measuring."""

    def __init__(self, device: torch.device) -> None:
        self.device, self.on_cuda = device, device.type == "cuda"

    def synchronise(self) -> None:
        if self.on_cuda:
            torch.cuda.synchronize(self.device)

    def peak_gib(self, run: Callable[[], None]) -> float | None:
        """The most memory that tensors held during a run, all variants' weights included."""
        if not self.on_cuda:
            return None
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(self.device)
        run()
        self.synchronise()
        return round(torch.cuda.max_memory_allocated(self.device) / 2**30, 3)


def runnable(
    phase: str, prepared: Prepared, splits: RandomSplits, *, compiling: bool
) -> tuple[dict[str, Callable[[], None]], dict[str, str]]:
    """A turn of each variant that gets through its first ones, and why others do not."""
    turns: dict[str, Callable[[], None]] = {}
    left_out: dict[str, str] = {}
    for name, (compiled, bf16) in VARIANTS.items():
        if compiled and not compiling:
            left_out[name] = "--no-compile"
            continue
        try:
            turn = turn_of(levels_of(phase, prepared, splits, compiled=compiled, bf16=bf16))
            for _ in range(WARM_UPS):
                turn()
        except Exception as error:
            if name == BASELINE:
                raise  # without it there is nothing to compare with
            first = (str(error) or type(error).__name__).splitlines()[0]
            left_out[name] = f"{type(error).__name__}: {first}"
        else:
            turns[name] = turn
    return turns, left_out


def measure(
    phase: str, prepared: Prepared, splits: RandomSplits, options: argparse.Namespace
) -> dict[str, Any]:
    """Seconds, turns a second, peak memory and the whole phase's hours, for each variant."""
    device = Device(splits.device)
    turns, left_out = runnable(phase, prepared, splits, compiling=options.compile)
    peaks = {name: device.peak_gib(turn) for name, turn in turns.items()}
    measured = alternate(turns, rounds=options.rounds, warm_ups=1, synchronise=device.synchronise)
    rows = measured.summary(BASELINE)
    print(f"\n{phase}: seconds of a turn")
    print_table(rows, BASELINE)
    whole = SEARCH_TURNS if phase == "search" else TRAIN_STEPS
    for name, row in rows.items():
        seconds = measured.median(name)
        row["turns_per_second"] = round(1 / seconds, 3)
        row["hours_of_the_phase"] = round(whole * seconds / 3600, 2)
        row["peak_gib"] = peaks[name]
        peak = "" if peaks[name] is None else f", peak {peaks[name]} GiB"
        print(f"{name}: {1 / seconds:.2f} a second, {whole:,} take "
              f"{row['hours_of_the_phase']} h{peak}")  # fmt: skip
    for name, reason in left_out.items():
        print(f"{name}: left out, {reason}")
    return {"turns_of_the_phase": whole, "variants": rows, "left_out": left_out}


def main() -> None:
    parser = arguments(__doc__, rounds=30)
    parser.add_argument("--turns", type=int, dest="rounds", help="another name of --rounds")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--patch", type=int, default=128, help="side of a patch, pixels")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--width", type=int, default=16, help="channels of a path")
    parser.add_argument("--no-compile", dest="compile", action="store_false")
    parser.add_argument("--no-contrastive", dest="contrastive", action="store_false")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        prepared = prepared_recipe(options, Path(folder))
        device = device_named(options.device)
        set_up(prepared.recipe, device)
        splits = RandomSplits(options.batch, options.patch, device)
        phases = {phase: measure(phase, prepared, splits, options) for phase in ("search", "train")}
    hours = {
        name: round(
            sum(phases[phase]["variants"][name]["hours_of_the_phase"] for phase in phases), 2
        )
        for name in phases["search"]["variants"]
        if name in phases["train"]["variants"]
    }
    print("\nhours of the whole protocol: " + ", ".join(f"{n} {h}" for n, h in hours.items()))
    settings = {key: getattr(options, key) for key in ("batch", "patch", "width", "contrastive")}
    settings["device"] = str(device)
    content = {"settings": settings, "rounds": options.rounds, "phases": phases}
    print(write_result("gpu-rdmc-search", {**content, "protocol_hours": hours}, options.out))


if __name__ == "__main__":
    main()
