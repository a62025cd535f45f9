"""Restoring one 321x481 image with RDMC's derived network: as shipped, against plain eager PyTorch.

    python -m benchmarks.restore

The weights are random, the statistics of batch normalisation those of random images: neither changes
how long it takes. The head is made small, so that the network adds about as much as one trained against
rain does: rounding errors are in proportion to that. Every side gets and gives H W C uint8 pixels.
"""

from __future__ import annotations

import copy
import math
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import nasrestore as nr
from benchmarks.paired import alternate, arguments, print_table, write_result
from nasrestore.engine.model import RestorationModel
from nasrestore.network.inference import for_inference

SIZE = (321, 481)
TARGET = 1.5
TOLERANCE = 1e-4
RESIDUAL = 0.05  # root mean square of what the network adds, roughly
PLAIN, SHIPPED, BF16, ONNX = (
    "plain eager fp32",
    "nasrestore fp32",
    "nasrestore bf16",
    "ONNX Runtime",
)

Unquantised = Callable[[np.ndarray], np.ndarray]


def derived_network() -> nn.Module:
    """RDMC's derived network in eval mode; its batch normalisation has seen random images."""
    torch.manual_seed(0)
    network = nr.build("rdmc", "rdmc-paper").train()
    with torch.no_grad():
        for _ in range(20):
            network(torch.rand(4, 3, 64, 64))
        network.eval()
        image = torch.rand(1, 3, 128, 128)
        added = (network(image)["restored"] - image).square().mean().sqrt()
        for parameter in network.stages[0].nodes["head"].parameters():
            parameter.mul_(RESIDUAL / added)
    return network


def padded(pixels: np.ndarray, multiple: int) -> Tensor:
    """1 C H W in [0, 1], extended by reflection below and to the right, contiguous."""
    image = torch.from_numpy(pixels).permute(2, 0, 1)[None].float().div(255).contiguous()
    height, width = (-side % multiple for side in image.shape[-2:])
    return F.pad(image, (0, width, 0, height), mode="reflect")


def cropped(restored: Tensor, pixels: np.ndarray) -> np.ndarray:
    """H W C in [0, 1], as large as ``pixels``."""
    height, width = pixels.shape[:2]
    return restored[0, :, :height, :width].clamp(0, 1).permute(1, 2, 0).numpy()


def plain_eager(network: nn.Module) -> Unquantised:
    """What the network's author would write: contiguous tensors, batch normalisation as it is."""
    made = copy.deepcopy(network)

    @torch.inference_mode()
    def run(pixels: np.ndarray) -> np.ndarray:
        return cropped(made(padded(pixels, made.multiple))["restored"], pixels)

    return run


class OnlyRestored(nn.Module):
    """The restored image alone, for a format without named outputs."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        return self.network(image)["restored"]


def onnx_runtime(network: nn.Module, threads: int) -> Unquantised:
    """The folded network in ONNX Runtime; raises ImportError where that is not installed."""
    import onnxruntime

    folded = OnlyRestored(for_inference(network)).eval()
    size = [-(-side // network.multiple) * network.multiple for side in SIZE]
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = str(Path(folder) / "rdmc.onnx")
        torch.onnx.export(folded, (torch.rand(1, 3, *size),), path, dynamo=True, verbose=False)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name

    def run(pixels: np.ndarray) -> np.ndarray:
        restored = session.run(None, {name: padded(pixels, network.multiple).numpy()})[0]
        return cropped(torch.from_numpy(restored), pixels)

    return run


def sides(network: nn.Module, threads: int) -> tuple[dict[str, Unquantised], list[str]]:
    """Every way to restore, by name, and what had to be left out."""
    found: dict[str, Unquantised] = {
        PLAIN: plain_eager(network),
        SHIPPED: RestorationModel(network).restorer.unquantised,
        BF16: RestorationModel(network, precision="bf16").restorer.unquantised,
    }
    try:
        found[ONNX] = onnx_runtime(network, threads)
    except ImportError as error:
        return found, [f"{ONNX}: {error}"]
    return found, []


def differences(outputs: dict[str, np.ndarray]) -> dict[str, dict[str, float | None]]:
    """From the plain fp32 output: the largest difference, and the PSNR in dB (None if equal)."""
    expected = outputs[PLAIN]
    result: dict[str, dict[str, float | None]] = {}
    for name, found in outputs.items():
        error = found.astype(np.float64) - expected
        mean_square = float((error**2).mean())
        decibel = None if mean_square == 0 else round(-10 * math.log10(mean_square), 2)
        result[name] = {"largest": float(abs(error).max()), "psnr": decibel}
    return result


def main() -> None:
    parser = arguments(__doc__, rounds=11)
    parser.add_argument("--threads", type=int, default=None, help="default: torch's own")
    options = parser.parse_args()
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    network = derived_network()
    pixels = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    ways, left_out = sides(network, torch.get_num_threads())
    outputs = {name: way(pixels) for name, way in ways.items()}
    difference = differences(outputs)
    residual = float(np.sqrt(np.mean((outputs[PLAIN] - pixels / 255) ** 2)))
    print(f"restored minus given: {residual:.3f} (root mean square, of 1)")

    def quantised(way: Unquantised) -> Callable[[], object]:
        return lambda: np.rint(way(pixels) * 255).astype(np.uint8)

    measured = alternate({n: quantised(w) for n, w in ways.items()}, rounds=options.rounds)
    summary: dict[str, Any] = measured.summary(PLAIN)
    print_table(summary, PLAIN)
    for name, row in summary.items():
        row["difference"] = difference[name]
        found = difference[name]
        cpu = row["cpu_seconds"]["median"]
        print(f"{name}: computed {cpu:.3f} s; largest difference {found['largest']:.1e}, "
              f"{found['psnr']} dB")  # fmt: skip
    for reason in left_out:
        print(f"left out, {reason}")
    reached = summary[SHIPPED]["times_faster"]["median"] >= TARGET
    equal = difference[SHIPPED]["largest"] <= TOLERANCE
    print(f"{SHIPPED}: {TARGET} times faster: {reached}; within {TOLERANCE}: {equal}")
    target = {"times_faster": TARGET, "within": TOLERANCE, "met": reached and equal}
    content = {
        "size": SIZE,
        "rounds": options.rounds,
        "residual_rms": round(residual, 4),
        "sides": summary,
        "left_out": left_out,
    }
    name = f"restore-{torch.get_num_threads()}-threads"
    print(write_result(name, {**content, "target": target}, options.out))


if __name__ == "__main__":
    main()
