"""What a search step keeps and takes under each memory setting: plain, operation, mixture.

    python -m benchmarks.search_memory

The space, batches and optimizers of ``benchmarks.search_step``: an iteration is a weight step and an
architecture step, in fp32, once with first-order gradients and once with ``unrolled``. That all
settings compute the same loss bit for bit is checked before anything is timed.

``kept``: bytes that autograd keeps for gradients, the most at a time during an iteration, recomputation
included; each storage counts once, parameters and buffers do not.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import Any

import torch

from benchmarks.paired import alternate, arguments, print_table, write_result
from benchmarks.search_step import (
    ARCHITECTURE,
    BATCH,
    SIZE,
    SPACE,
    WEIGHTS,
    Batch,
    Pairs,
    Stream,
    supernet,
)
from nasrestore import registry
from nasrestore.graph.compile import compile_space
from nasrestore.graph.ir import SearchGraph
from nasrestore.losses.pixel import MeanAbsoluteError
from nasrestore.network.build import GraphNetwork
from nasrestore.network.recompute import Memory
from nasrestore.runtime.memory import Kept
from nasrestore.search.hypergradient.first_order import FirstOrder
from nasrestore.search.hypergradient.unrolled import Unrolled
from nasrestore.search.level import Level
from nasrestore.search.objective import Objective, Term
from nasrestore.spec.space import load_space_spec

SETTINGS: tuple[Memory, ...] = ("plain", "operation", "mixture")
HYPERGRADIENTS = {"first_order": FirstOrder, "unrolled": Unrolled}
MOST_KEPT = {"operation": 0.2, "mixture": 0.05}  # of plain, first order
MOST_TIME = {"first_order": 1.5, "unrolled": 2.0}  # of plain, with mixture


@dataclass(frozen=True)
class Side:
    """One setting: calling it is an iteration."""

    network: GraphNetwork
    levels: tuple[Level, Level]

    def __call__(self) -> None:
        weights, architecture = self.levels
        weights.step(0.0)
        architecture.step(0.0, [weights])

    def loss(self) -> float:
        """That of the first training batch, with gradients on: else nothing would be recomputed."""
        self.network.train()
        return float(self.levels[0].objective(Batch(*Pairs(1).batches[0]), 0.0).total.detach())

    def kept(self) -> int:
        """Bytes, the most at a time during an iteration."""
        with Kept([*self.network.parameters(), *self.network.buffers()]) as count:
            self()
        return count.peak


def side(graph: SearchGraph, memory: Memory, hypergradient: str) -> Side:
    network = supernet(graph)
    network.memory = memory
    objective = Objective(network, {"l1": Term(MeanAbsoluteError())})
    groups = network.parameter_groups()
    adam = registry.optimizer.factory("adam")

    def level(name: str, seed: int, settings: dict[str, Any], method: str) -> Level:
        return Level(
            name=name,
            variables=groups[name],
            objective=objective,
            batches=Stream(seed),
            optimizer=adam(list(groups[name].values()), **settings),
            schedule=lambda progress: 1.0,
            hypergradient=HYPERGRADIENTS[method](),
            keeps_statistics=name == "weights",
        )

    weights = level("weights", 1, WEIGHTS, "first_order")
    return Side(network, (weights, level("architecture", 2, ARCHITECTURE, hypergradient)))


def check_losses(sides: dict[str, Side]) -> float:
    """The loss of all sides.

    Raises:
        RuntimeError: two sides do not compute the same, so that their times say nothing.
    """
    losses = {name: one.loss() for name, one in sides.items()}
    if len(set(losses.values())) != 1:
        raise RuntimeError(f"the losses differ: {losses}")
    return losses["plain"]


def measured(graph: SearchGraph, hypergradient: str, rounds: int) -> dict[str, Any]:
    """Seconds and bytes of each setting."""
    sides = {memory: side(graph, memory, hypergradient) for memory in SETTINGS}
    loss = check_losses(dict(sides))
    kept = {name: one.kept() for name, one in sides.items()}
    found = alternate(sides, rounds=rounds, warm_ups=1)
    summary = found.summary("plain")
    print(f"\n{hypergradient}")
    print_table(summary, "plain")
    for name, row in summary.items():
        share, slower = kept[name] / kept["plain"], 1 / row["times_faster"]["median"]
        row["kept_bytes"] = kept[name]
        row["kept_of_plain"] = round(share, 4)
        row["times_slower"] = round(slower, 4)
        print(
            f"{name:9}  keeps {kept[name] / 1e6:7.1f} MB, {share:.3f} of plain; {slower:.2f} times the time"
        )
    return {"loss": loss, "sides": summary}


def main() -> int:
    parser = arguments(__doc__, rounds=9)
    parser.add_argument("--threads", type=int, default=None, help="default: torch's own")
    options = parser.parse_args()
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    graph = compile_space(load_space_spec(SPACE))
    before = os.getloadavg()[0]
    found = {name: measured(graph, name, options.rounds) for name in HYPERGRADIENTS}
    first = found["first_order"]["sides"]
    targets = {
        **{
            f"{name} keeps at most {most} of plain": first[name]["kept_of_plain"] <= most
            for name, most in MOST_KEPT.items()
        },
        **{
            f"mixture takes at most {most} times plain, {name}": (
                found[name]["sides"]["mixture"]["times_slower"] <= most
            )
            for name, most in MOST_TIME.items()
        },
    }
    print()
    for text, met in targets.items():
        print(f"{text}: {met}")
    content = {
        "layers": len(graph.choices),
        "batch": [BATCH, 3, SIZE, SIZE],
        "rounds": options.rounds,
        "load_average": {"before": round(before, 2), "after": round(os.getloadavg()[0], 2)},
        "hypergradients": found,
        "targets": targets,
    }
    print(write_result("search_memory", content, options.out))
    return 0


if __name__ == "__main__":
    sys.exit(main())
