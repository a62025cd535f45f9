"""A recipe on a very small space, its images, and a run of it that went all the way."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import nasrestore as nr
from nasrestore.data.images import write_image

# The first logits are far apart, so that the decision, for kernel 3, does not hang on rounding.
SMALL = """
format: 1
extends: rdmc-quick
recipe: small
precision: fp32
threads: 1
seed: 3
space:
  format: 1
  space: small
  inputs: {rainy: {channels: 3}}
  constants: {width: 4}
  nodes:
    first: {op: conv, with: {channels: $width}}
    middle: {op: {choice: [{op: conv, with: {kernel: {choice: [1, 3, 5, 7]}}}]}, with: {channels: $width}}
    last: {op: conv, with: {channels: 3}}
  outputs: {restored: {from: last, add: rainy}}
data: {rainy: rain, clean: norain, patch: 16, batch: 2}
search: {steps: 4, budget: null, start_spread: 2, levels: [{name: architecture, start: 0}]}
train: {steps: 4, budget: null}
evaluate: {protocols: [rgb]}
"""


def put_small(place: Path) -> Path:
    """``small.yaml`` beside eight pairs of images in ``rain/`` and ``norain/``."""
    generator = np.random.default_rng(0)
    for number in range(8):
        clean = np.kron(generator.integers(0, 200, (6, 6, 3)), np.ones((4, 4, 1))).astype(np.uint8)
        streaks = ((generator.random((24, 24, 1)) > 0.9) * 50).astype(np.uint8)
        write_image(place / "norain" / f"{number}.png", clean)
        write_image(place / "rain" / f"{number}.png", clean + streaks)
    recipe = place / "small.yaml"
    recipe.write_text(SMALL)
    return recipe


def small_run(place: Path) -> Path:
    """``place/run``: searched, derived, trained and evaluated."""
    out = place / "run"
    nr.search(put_small(place), out=out)
    nr.derive(out)
    nr.train(out)
    nr.evaluate(out)
    return out
