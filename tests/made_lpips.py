"""Files with weights of LPIPS that nobody trained: random ones of the right names and shapes."""

from __future__ import annotations

from pathlib import Path

import torch

from nasrestore.metrics.perceptual import ALEXNET


def put_weights(folder: Path) -> dict[str, Path]:
    """``heads`` and ``alexnet``, as their publishers lay them out; features keep their scale."""
    generator = torch.Generator().manual_seed(5)
    backbone, heads = {}, {}
    for number, layer in enumerate(ALEXNET):
        shape = layer.shapes["weight"]
        weight = torch.randn(shape, generator=generator)
        backbone[f"features.{layer.index}.weight"] = weight * (2 / weight[0].numel()) ** 0.5
        backbone[f"features.{layer.index}.bias"] = torch.zeros(layer.outputs)
        head = torch.rand((1, layer.outputs, 1, 1), generator=generator)
        heads[f"lin{number}.model.1.weight"] = head
    folder.mkdir(parents=True, exist_ok=True)
    files = {"heads": folder / "heads.pth", "alexnet": folder / "alexnet.pth"}
    torch.save(heads, files["heads"])
    torch.save(backbone, files["alexnet"])
    return files
