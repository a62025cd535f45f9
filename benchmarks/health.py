"""What watching a search costs: turns of RDMC's search with and without the monitor.

    python -m benchmarks.health --threads 1

A round is a whole little search: ``--turns`` turns of a weight and an architecture step, first order, fp32,
Adam for both, on patches of the quick recipe's size. On the watched side it begins with a fresh monitor,
whose first steps cost most; a longer search is cheaper. That both sides end with the same weights is
checked before anything is timed. Since the cost may drown in what else the machine does, it is also
timed by itself, with steps that do nothing.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import torch
from torch import Tensor

import nasrestore.assemble.chain  # attaches the optimizers' factories
import nasrestore.ops  # noqa: F401  attaches the operations' factories
from benchmarks.paired import alternate, arguments, print_table, spread, write_result
from nasrestore import registry
from nasrestore.graph.compile import compile_space
from nasrestore.losses.pixel import MeanAbsoluteError
from nasrestore.network.build import GraphNetwork, build
from nasrestore.search.health.monitor import HealthMonitor
from nasrestore.search.hypergradient.first_order import FirstOrder
from nasrestore.search.level import Level, StepRecord
from nasrestore.search.objective import Objective, Term
from nasrestore.spec.load import load_recipe, overrides_of

TARGET = 0.03
BATCHES = 32
SPLITS = {"weights": "train", "architecture": "validation"}
ALONE, WATCHED = "alone", "watched"


@dataclass(frozen=True)
class Batch:
    degraded: Tensor
    clean: Tensor
    identities: tuple[str, ...]


class Stream(Iterator[Batch]):
    """Random patches, the same for the same seed; repeats after ``BATCHES`` batches."""

    def __init__(self, seed: int, batch: int, patch: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        names = tuple(f"{seed}/{number}" for number in range(batch))

        def images() -> Tensor:
            made = torch.randint(0, 256, (batch, 3, patch, patch), generator=generator)
            return (made / 255).contiguous(memory_format=torch.channels_last)

        self.batches = [Batch(images(), images(), names) for _ in range(BATCHES)]
        self.position = 0

    def __next__(self) -> Batch:
        self.position += 1
        return self.batches[self.position % BATCHES]

    def __len__(self) -> int:
        return BATCHES

    def state_dict(self) -> dict[str, Any]:
        return {"position": self.position}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.position = state["position"]


@dataclass
class Search:
    """A chain of two levels on a supernet of its own."""

    network: GraphNetwork
    levels: Sequence[Level]
    turns: int

    def alone(self) -> None:
        for _ in range(self.turns):
            for index, level in enumerate(self.levels):
                level.step(0.0, self.levels[:index])

    def watched(self) -> None:
        monitor = HealthMonitor(SPLITS, members(self.levels))
        monitor.begin(self.network, self.levels)
        for _ in range(self.turns):
            for index, level in enumerate(self.levels):
                monitor.step(level, 0.0, self.levels[:index])


def members(levels: Sequence[Level]) -> dict[str, list[str]]:
    """The scenes of each split; nothing is drawn."""
    streams: Any = {level.name: level.batches for level in levels}
    return {SPLITS[name]: list(stream.batches[0].identities) for name, stream in streams.items()}


def search(options: Any) -> Search:
    torch.manual_seed(0)
    graph = compile_space(load_recipe("rdmc", overrides_of([f"space.width={options.width}"])).space)
    network = build(graph, registry.operation.factories()).to(memory_format=torch.channels_last)
    objective = Objective(network, {"l1": Term(MeanAbsoluteError())})
    groups = network.parameter_groups()
    adam = registry.optimizer.factory("adam")

    def level(name: str, seed: int) -> Level:
        variables = groups[name]
        return Level(
            name=name,
            variables=variables,
            objective=objective,
            batches=Stream(seed, options.batch, options.patch),
            optimizer=adam(
                list(variables.values()), rate=1e-3, betas=(0.9, 0.999), weight_decay=0.0
            ),
            schedule=lambda progress: 1.0,
            hypergradient=FirstOrder(),
            keeps_statistics=name == "weights",
        )

    return Search(network, [level("weights", 1), level("architecture", 2)], options.turns)


def check_equal(first: Search, second: Search) -> None:
    """Runs one search alone and one watched.

    Raises:
        RuntimeError: they differ, so that watching changes what it watches.
    """
    first.alone()
    second.watched()
    other = second.network.state_dict()
    for name, value in first.network.state_dict().items():
        if not torch.equal(value, other[name]):
            raise RuntimeError(f"{name} differs between the searches")


def monitor_seconds(watched: Search, rounds: int) -> list[float]:
    """Seconds a step of the monitor by itself: the levels' steps only draw a batch."""
    record = watched.levels[0].step(0.0)
    kept = [level.step for level in watched.levels]

    def idle(level: Level) -> Callable[..., StepRecord]:
        def step(progress: float, below: Sequence[Level] = ()) -> StepRecord:
            batch = next(level.batches)
            if level.watch is not None:
                level.watch(batch)
            return record

        return step

    for level in watched.levels:
        level.step = idle(level)  # type: ignore[method-assign]
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        watched.watched()
        times.append((time.perf_counter() - began) / (watched.turns * len(watched.levels)))
    for level, step in zip(watched.levels, kept, strict=True):
        level.step = step  # type: ignore[method-assign]
    return times


def main() -> int:
    parser = arguments(__doc__, rounds=9)
    parser.add_argument("--threads", type=int, default=None, help="default: torch's own")
    parser.add_argument("--turns", type=int, default=20, help="turns of a round")
    parser.add_argument("--width", type=int, default=16, help="of the space")
    parser.add_argument("--patch", type=int, default=96, help="side of a patch, pixels")
    parser.add_argument("--batch", type=int, default=2, help="patches a step")
    options = parser.parse_args()
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    alone, watched = search(options), search(options)
    check_equal(alone, watched)
    load_before = os.getloadavg()[0]
    measured = alternate(
        {ALONE: alone.alone, WATCHED: watched.watched}, rounds=options.rounds, warm_ups=1
    )
    summary = measured.summary(ALONE)
    print_table(summary, ALONE)
    paired = [1 / ratio - 1 for ratio in measured.ratios(ALONE, WATCHED)]
    overheads = [slow / fast - 1 for slow, fast in zip(*_cpu(measured), strict=True)]
    own = monitor_seconds(watched, options.rounds)
    share = median(own) / (measured.median(ALONE) / (options.turns * 2))
    print(f"overhead, clock: {spread(paired)['median']:.2%}, computed: {median(overheads):.2%}")
    print(f"the monitor by itself: {median(own) * 1e3:.3f} ms a step, {share:.2%} of a step")
    content = {
        "turns": options.turns,
        "width": options.width,
        "batch": [options.batch, 3, options.patch, options.patch],
        "parameters": sum(1 for _ in alone.network.parameters()),
        "rounds": options.rounds,
        "load_average": {"before": round(load_before, 2), "after": round(os.getloadavg()[0], 2)},
        "sides": summary,
        "overhead": {"clock": spread(paired), "computed": spread(overheads)},
        "monitor": {
            "ms_per_step": spread([1e3 * value for value in own]),
            "share_of_a_step": round(share, 5),
        },
        "target": {"share": TARGET, "met": share < TARGET},
    }
    print(write_result("health", content, options.out))
    return 0


def _cpu(measured: Any) -> tuple[list[float], list[float]]:
    return measured.computed[WATCHED], measured.computed[ALONE]


if __name__ == "__main__":
    sys.exit(main())
