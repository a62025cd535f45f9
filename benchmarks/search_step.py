"""One bilevel iteration of a chain of operation choices: as shipped, against NNI's DARTS strategy.

    python -m benchmarks.search_step

An iteration is a weight step and an architecture step, first order, in fp32, with Adam for both.
The same operation modules, weights, batches and number of threads on every side; that all compute
the same loss is checked before anything is timed. NNI needs pytorch-lightning to import its strategy.

Of NNI its own ``training_step`` is timed, without Lightning's loop, data loading and logging.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import nasrestore.assemble.chain  # attaches the optimizers' factories
import nasrestore.ops  # noqa: F401  attaches the operations' factories
from benchmarks.paired import alternate, arguments, print_table, spread, write_result
from nasrestore import registry
from nasrestore.graph.compile import compile_space
from nasrestore.graph.ir import SearchGraph
from nasrestore.losses.pixel import MeanAbsoluteError
from nasrestore.network.build import GraphNetwork, build
from nasrestore.search.hypergradient.first_order import FirstOrder
from nasrestore.search.level import Level
from nasrestore.search.objective import Objective, Term
from nasrestore.spec.space import load_space_spec

SPACE = Path(__file__).parent / "spaces" / "chain.yaml"
BATCH, SIZE, BATCHES = 2, 48, 4
TARGET, TOLERANCE = 1.25, 1e-4
WEIGHTS: dict[str, Any] = {"rate": 1e-3, "betas": (0.9, 0.999), "weight_decay": 0.0}
ARCHITECTURE: dict[str, Any] = {"rate": 3e-4, "betas": (0.5, 0.999), "weight_decay": 1e-3}  # NNI's
NNI, NNI_LAST, NNI_BEST, SHIPPED, PLAIN, BF16 = (
    "NNI, as its users run it",
    "NNI, channels-last",
    "NNI, + in-place ReLU",
    "nasrestore",
    "nasrestore, plain form",
    "nasrestore, bf16",
)


@dataclass
class Pairs:
    """Random images; the same for the same seed. Repeats after ``BATCHES`` batches."""

    seed: int
    layout: torch.memory_format = torch.channels_last
    position: int = 0
    batches: list[tuple[Tensor, Tensor]] = field(init=False)

    def __post_init__(self) -> None:
        generator = torch.Generator().manual_seed(self.seed)

        def images() -> Tensor:
            made = torch.rand(BATCH, 3, SIZE, SIZE, generator=generator)
            return made.contiguous(memory_format=self.layout)

        self.batches = [(images(), images()) for _ in range(BATCHES)]

    def __next__(self) -> tuple[Tensor, Tensor]:
        self.position += 1
        return self.batches[self.position % BATCHES]


@dataclass(frozen=True)
class Batch:
    degraded: Tensor
    clean: Tensor


class Stream(Pairs):
    """The same as a level reads them."""

    def __next__(self) -> Batch:  # type: ignore[override]
        return Batch(*super().__next__())

    def __len__(self) -> int:
        return BATCHES

    def state_dict(self) -> dict[str, Any]:
        return {"position": self.position}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.position = state["position"]


@dataclass(frozen=True)
class Side:
    """One way to search: ``step`` is an iteration, ``loss`` that of the first training batch."""

    step: Callable[[], object]
    loss: Callable[[], float]


def supernet(graph: SearchGraph, *, rewrite: bool = True) -> GraphNetwork:
    torch.manual_seed(0)
    made = build(graph, registry.operation.factories(), spread=0.5, rewrite=rewrite)
    return made.to(memory_format=torch.channels_last)


def ours(graph: SearchGraph, *, rewrite: bool = True, bf16: bool = False) -> Side:
    """A chain of two levels, as a search makes it."""
    network = supernet(graph, rewrite=rewrite)
    objective = Objective(network, {"l1": Term(MeanAbsoluteError())}, bf16=bf16)
    groups = network.parameter_groups()
    adam = registry.optimizer.factory("adam")

    def level(name: str, seed: int, settings: dict[str, Any]) -> Level:
        return Level(
            name=name,
            variables=groups[name],
            objective=objective,
            batches=Stream(seed),
            optimizer=adam(list(groups[name].values()), **settings),
            schedule=lambda progress: 1.0,
            hypergradient=FirstOrder(),
            keeps_statistics=name == "weights",
        )

    weights, architecture = level("weights", 1, WEIGHTS), level("architecture", 2, ARCHITECTURE)

    def step() -> None:
        weights.step(0.0)
        architecture.step(0.0, [weights])

    @torch.no_grad()
    def loss() -> float:
        network.train()
        return float(objective(Batch(*Pairs(1).batches[0]), 0.0).total)

    return Side(step, loss)


def theirs(graph: SearchGraph, *, channels_last: bool = False, in_place: bool = False) -> Side:
    """NNI's supernet and strategy; our supernet's weights and logits copied into it."""
    from benchmarks.nni_darts import darts, load_weights  # needs nni and pytorch-lightning

    layout = torch.channels_last if channels_last else torch.contiguous_format
    train, validation = Pairs(1, layout), Pairs(2, layout)
    module = darts(
        graph, train.batches[:1], validation.batches[:1], WEIGHTS["rate"], ARCHITECTURE["rate"]
    )
    load_weights(module.model, graph, supernet(graph).state_dict())
    module.model.to(memory_format=layout)
    if in_place:
        from nasrestore.network.rewrite import activate_in_place

        activate_in_place(module.model)
    module.train()

    def step() -> None:
        # Index 1: NNI logs all probabilities at every tenth, which is not to be counted.
        module.training_step({"train": next(train), "val": next(validation)}, 1)

    @torch.no_grad()
    def loss() -> float:
        return float(module.training_module.training_step(train.batches[0], 0))

    return Side(step, loss)


def all_sides(graph: SearchGraph) -> dict[str, Side]:
    return {
        NNI: theirs(graph),
        NNI_LAST: theirs(graph, channels_last=True),
        NNI_BEST: theirs(graph, channels_last=True, in_place=True),
        SHIPPED: ours(graph),
        PLAIN: ours(graph, rewrite=False),
        BF16: ours(graph, bf16=True),
    }


def check_losses(sides: dict[str, Side]) -> dict[str, float]:
    """The loss of each side before its first step; bf16 need not agree.

    Raises:
        RuntimeError: two sides do not compute the same, so that their times say nothing.
    """
    losses = {name: side.loss() for name, side in sides.items()}
    for name, loss in losses.items():
        if name != BF16 and not abs(loss - losses[SHIPPED]) <= TOLERANCE:
            raise RuntimeError(f"{name} has the loss {loss}, {SHIPPED} {losses[SHIPPED]}")
    return losses


class Timed:
    """A step that also gathers the seconds that all threads of the process computed."""

    def __init__(self, step: Callable[[], object]) -> None:
        self.step = step
        self.cpu: list[float] = []

    def __call__(self) -> None:
        before = time.process_time()
        self.step()
        self.cpu.append(time.process_time() - before)


def main() -> int:
    parser = arguments(__doc__, rounds=9)
    parser.add_argument("--threads", type=int, default=None, help="default: torch's own")
    options = parser.parse_args()
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    graph = compile_space(load_space_spec(SPACE))
    sides = all_sides(graph)
    losses = check_losses(sides)
    timed = {name: Timed(side.step) for name, side in sides.items()}
    load_before = os.getloadavg()[0]
    measured = alternate(timed, rounds=options.rounds, warm_ups=2)
    summary = measured.summary(NNI)
    print_table(summary, NNI)
    for name, side in timed.items():
        cpu = side.cpu[-options.rounds :]
        summary[name]["cpu_seconds"] = spread(cpu)
        print(f"{name}: computed {spread(cpu)['median']:.3f} s, loss {losses[name]:.6f}")
    ratio = summary[SHIPPED]["times_faster"]["median"]
    print(f"{SHIPPED}: {ratio:.2f} times faster than {NNI!r}; at least {TARGET}: {ratio >= TARGET}")
    content = {
        "layers": len(graph.choices),
        "batch": [BATCH, 3, SIZE, SIZE],
        "rounds": options.rounds,
        "load_average": {"before": round(load_before, 2), "after": round(os.getloadavg()[0], 2)},
        "peer": _versions("nni", "pytorch-lightning"),
        "losses": losses,
        "sides": summary,
        "target": {"times_faster": TARGET, "met": ratio >= TARGET},
    }
    print(write_result("search_step", content, options.out))
    return 0


def _versions(*packages: str) -> dict[str, str]:
    from importlib.metadata import version

    return {package: version(package) for package in packages}


if __name__ == "__main__":
    sys.exit(main())
