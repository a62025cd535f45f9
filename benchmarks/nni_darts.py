"""The chain of ``spaces/chain.yaml`` as a user of NNI writes it, under NNI's own DARTS strategy."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from nasrestore import registry
from nasrestore.graph.ir import Node, SearchGraph
from nasrestore.network.architecture import module_key


@contextmanager
def silence() -> Iterator[None]:
    """Inside, neither warnings nor log lines: NNI is older than the libraries it meets."""
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)


with silence():
    from nni.nas.evaluator.pytorch import DataLoader, Lightning, LightningModule, Trainer
    from nni.nas.nn.pytorch import LayerChoice, ModelSpace
    from nni.nas.oneshot.pytorch.differentiable import DartsLightningModule
    from nni.nas.strategy import DARTS

Pair = tuple[Tensor, Tensor]


def candidates(node: Node) -> dict[str, nn.Module]:
    """A node's operations by label: the very modules that the other side mixes."""
    factories = registry.operation.factories()
    return {o.label: factories[o.kind](node.input.channels, **o.params) for o in node.candidates}


class Chain(ModelSpace):  # type: ignore[misc]
    """The nodes one after the other; where there is a choice, NNI's."""

    def __init__(self, graph: SearchGraph) -> None:
        super().__init__()
        self.nodes = nn.ModuleList(
            next(iter(candidates(node).values()))
            if node.choice is None
            else LayerChoice(candidates(node), label=module_key(node.name))
            for node in graph.nodes
        )

    def forward(self, x: Tensor) -> Tensor:
        for node in self.nodes:
            x = node(x)
        return x


class Restoration(LightningModule):  # type: ignore[misc]
    """L1 between the restored and the clean image, Adam."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def training_step(self, batch: Pair, index: int) -> Tensor:
        degraded, clean = batch
        return nn.functional.l1_loss(self.model(degraded), clean)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.model.parameters(), lr=self.rate)


def darts(
    graph: SearchGraph,
    train: Sequence[Pair],
    validation: Sequence[Pair],
    rate: float,
    architecture_rate: float,
) -> DartsLightningModule:
    """NNI's DARTS module after one iteration of its trainer, which sets up its optimizers.

    The optimizers then begin anew, so that what the iteration did is forgotten.
    """
    with silence():
        quiet: dict[str, Any] = {
            "logger": False,
            "enable_checkpointing": False,
            "enable_progress_bar": False,
            "enable_model_summary": False,
        }
        trainer = Trainer(max_epochs=1, limit_train_batches=1, accelerator="cpu", **quiet)
        strategy = DARTS(arc_learning_rate=architecture_rate)
        evaluator = strategy.mutate_evaluator(
            Lightning(
                Restoration(rate),
                trainer,
                train_dataloaders=DataLoader(list(train), batch_size=None),
                val_dataloaders=DataLoader(list(validation), batch_size=None),
            )
        )
        evaluator.evaluate(strategy.mutate_model(Chain(graph)))
    for optimizer in trainer.optimizers:
        optimizer.state.clear()
    return evaluator.module


def load_weights(model: nn.Module, graph: SearchGraph, state: Mapping[str, Tensor]) -> None:
    """Copies the state dict of our supernet of the same graph into NNI's."""
    wanted = {}
    for index, node in enumerate(graph.nodes):
        before = f"stages.0.nodes.{module_key(node.name)}.operations.candidates."
        for name, value in state.items():
            if name.startswith(before):
                label, _, rest = name.removeprefix(before).partition(".")
                place = rest if node.choice is None else f"{label}.{rest}"
                wanted[f"nodes.{index}.{place}"] = value
        if node.choice is not None:
            logits = state[f"architecture.logits.{module_key(node.choice)}"]
            wanted[f"nodes.{index}._arch_alpha"] = logits
    model.load_state_dict(wanted)
