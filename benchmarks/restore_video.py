"""Restoring frames with TMICS's derived network for heavy rain: as shipped, against plain eager PyTorch.

    python -m benchmarks.restore_video --threads 1

The network of the paper's heavy rain at width 16, on windows of five frames; its weights are random, the
statistics of batch normalisation those of random clips, and its heads are made small: neither changes how
long it takes. Every side gets a window of five H W C uint8 frames and gives the one in the middle.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

import nasrestore as nr
from benchmarks.paired import alternate, arguments, print_table, write_result
from nasrestore.assemble.prepare import find_genotype
from nasrestore.engine.model import RestorationModel
from nasrestore.graph.compile import compile_tree
from nasrestore.graph.derive import derive
from nasrestore.spec.load import space_tree
from nasrestore.spec.source import parse_yaml

SIZE = (480, 640)
WIDTH = 16
TARGET = 1.5
TOLERANCE = 1e-4
HEAD = 0.05  # by which the heads are multiplied
PLAIN, SHIPPED, BF16 = "plain eager fp32", "nasrestore fp32", "nasrestore bf16"

Window = Sequence[np.ndarray]
Restore = Callable[[Window], np.ndarray]


def derived_network(width: int) -> nn.Module:
    """TMICS for heavy rain in eval mode; its batch normalisation has seen random clips."""
    torch.manual_seed(0)
    graph = compile_tree(space_tree(parse_yaml(f"{{extends: tmics, width: {width}}}", "space")))
    genotype, _ = find_genotype("tmics-heavy", graph)
    network = nr.build(derive(graph, genotype)).train()
    with torch.no_grad():
        for _ in range(5):
            network(torch.rand(2, 5, 3, 32, 32))
        for head in ("dna_head", "cna_head"):
            for parameter in network.stages[0].nodes[head].parameters():
                parameter.mul_(HEAD)
    return network.eval()


def plain_eager(network: nn.Module) -> Restore:
    """What the network's author would write: contiguous tensors, batch normalisation as it is."""
    made = copy.deepcopy(network)

    @torch.inference_mode()
    def run(window: Window) -> np.ndarray:
        clip = torch.from_numpy(np.stack(window)).permute(0, 3, 1, 2)[None].float().div(255)
        restored = made(clip.contiguous())["restored"][0].clamp(0, 1).permute(1, 2, 0)
        return np.rint(restored.numpy() * 255).astype(np.uint8)

    return run


def shipped(network: nn.Module, precision: str) -> Restore:
    model = RestorationModel(network, precision=precision)
    return lambda window: model.restorer.clip(window)


def main() -> None:
    parser = arguments(__doc__, rounds=9)
    parser.add_argument("--threads", type=int, default=None, help="default: torch's own")
    options = parser.parse_args()
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    network = derived_network(WIDTH)
    generator = np.random.default_rng(0)
    window = [generator.integers(0, 256, (*SIZE, 3), dtype=np.uint8) for _ in range(5)]
    ways = {
        PLAIN: plain_eager(network),
        SHIPPED: shipped(network, "fp32"),
        BF16: shipped(network, "bf16"),
    }
    outputs = {name: way(window).astype(int) for name, way in ways.items()}
    off = {name: int(abs(found - outputs[PLAIN]).max()) for name, found in outputs.items()}
    measured = alternate({n: lambda w=w: w(window) for n, w in ways.items()}, rounds=options.rounds)
    summary: dict[str, Any] = measured.summary(PLAIN)
    print_table(summary, PLAIN)
    for name, row in summary.items():
        row["frames_per_second"] = round(1 / measured.median(name), 3)
        row["largest_difference"] = off[name]  # of 255, after rounding
        print(f"{name}: {row['frames_per_second']} frames a second; off by {off[name]} of 255")
    reached = summary[SHIPPED]["times_faster"]["median"] >= TARGET
    print(f"{SHIPPED}: {TARGET} times faster: {reached}")
    content = {
        "size": SIZE,
        "width": WIDTH,
        "frames": 5,
        "rounds": options.rounds,
        "sides": summary,
        "target": {"times_faster": TARGET, "met": reached},
    }
    name = f"restore_video-{torch.get_num_threads()}-threads"
    print(write_result(name, content, options.out))


if __name__ == "__main__":
    main()
