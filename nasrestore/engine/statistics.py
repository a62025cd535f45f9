"""Running statistics of batch normalisation, estimated anew for the weights that are there."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn

from nasrestore.search.objective import Batch, network_inputs

BATCHES = 16
CALIBRATION_BATCHES = 10  # of large patches, which hold many more pixels


@torch.no_grad()
def estimate_statistics(network: nn.Module, batches: Iterator[Batch], count: int = BATCHES) -> None:
    """Sets mean and variance of every batch normalisation to the average over ``count`` batches.

    Weights carried over from a supernet were normalised together with what is gone now; and the
    exponential average of training leans on the last stage where stages share a normalisation.
    """
    norms = [m for m in network.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    if not norms:
        return
    momenta = [norm.momentum for norm in norms]
    was_training = network.training
    network.train()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain average over all that follows
    try:
        for _ in range(count):
            network(network_inputs(network, next(batches)))
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        network.train(was_training)
