"""A small space of clips with flow, and runs of it that were never searched."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from nasrestore.api.run import decisions_of, open_recipe, write_recipe
from nasrestore.assemble.network import plain_network
from nasrestore.assemble.prepare import Prepared, prepare
from nasrestore.data.images import write_image
from nasrestore.graph.genotype import genotype_of
from nasrestore.runtime.checkpoint import save_checkpoint
from nasrestore.runtime.runfolder import RunFolder, create_run
from nasrestore.spec.overrides import python_overrides

CLIP_SPACE: dict[str, Any] = {
    "format": 1,
    "space": "clips",
    "inputs": {"rainy": {"channels": 3, "frames": 3}, "flow": {"flow_of": "rainy"}},
    "nodes": {
        "aligned": {"reads": ["rainy", "flow"], "op": "warp"},
        "flat": {"op": "frames_to_channels"},
        "body": {
            "op": {
                "choice": [
                    {"op": "conv_bn_relu", "with": {"channels": 4}},
                    {"op": "conv_bn_relu", "with": {"channels": 4, "kernel": 5}},
                ]
            }
        },
        "head": {"op": "conv", "with": {"channels": 3}},
    },
    "outputs": {"restored": "head"},
}


def prepared(**values: object) -> Prepared:
    """``rdmc-quick`` on the space of clips."""
    overrides: dict[str, object] = {
        "data.patch": 16,
        "data.rain.variants": 2,
        "data.rain.recolour": False,
        "data.clip": {"length": 4, "height": 32, "width": 40},
    }
    overrides |= values
    return prepare("rdmc-quick", python_overrides({"space": CLIP_SPACE, **overrides}))


def random_run(place: Path, **values: object) -> RunFolder:
    """A run of the first architecture of the space of clips, with random weights."""
    return random_run_of(place, prepared(precision="fp32", **values))


def random_run_of(place: Path, found: Prepared) -> RunFolder:
    """A run of the first architecture of a recipe's space, with random weights."""
    torch.manual_seed(3)
    folder = create_run(place, "clips", resume=False, overwrite=False)
    write_recipe(folder, found, {})
    decisions = {c.name: [c.candidates[0]] for c in found.graph.choices}
    folder.genotype.write_text(genotype_of(found.graph, decisions).dump())
    opened = open_recipe(folder)
    content = {
        "network": plain_network(opened.derived).state_dict(),
        "extra": {"decisions": decisions_of(opened)},
    }
    save_checkpoint(folder.path / "checkpoints" / "derive", content, step=0, kind="derive")
    return folder


def put_pairs(root: Path, count: int, frames: int = 5, side: int = 24) -> Path:
    """``rain/00/0.png`` with ``norain/00/0.png`` and so on: noise, and the same paler."""
    shape = (side, side, 3)
    for clip in range(count):
        for number in range(frames):
            pixels = np.random.default_rng([clip, number]).integers(0, 256, shape, np.uint8)
            name = f"{clip:02}/{number}.png"
            write_image(root / "norain" / name, pixels)
            write_image(root / "rain" / name, pixels // 2 + 100)
    return root
