"""One architecture step of the quick RDMC recipe under each hypergradient: time and memory."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import torch

from benchmarks.health import Stream
from benchmarks.peak import peak_bytes

RECIPE = "rdmc-quick"
ROWS: dict[str, Mapping[str, Any]] = {
    "first_order": {"name": "first_order"},
    "finite_difference": {"name": "finite_difference"},
    "unrolled, 1 step of sgd": {"name": "unrolled", "steps": 1, "optimizer": "sgd"},
    "unrolled, 1 step of the level's adam": {"name": "unrolled", "steps": 1},
    "unrolled, 3 steps of the level's adam": {"name": "unrolled", "steps": 3},
    "neumann, 5 terms": {"name": "neumann", "terms": 5},
    "conjugate_gradient, 5 steps, damping 100": {
        "name": "conjugate_gradient",
        "steps": 5,
        "damping": 100.0,
    },
    "aggregation, 1 step": {"name": "aggregation", "steps": 1},
    "value_function, 5 steps": {"name": "value_function", "steps": 5},
}


def measured(rounds: int) -> dict[str, dict[str, Any]]:
    """By method: seconds of one gradient, its peak in bytes, what its solver said.

    The supernet, its objectives, Adam and the patch size of the recipe, on random patches, after one
    weight step. Each is run ``rounds`` times for its time, the least that it computed, and once more
    for its memory.
    """
    import nasrestore.ops  # noqa: F401  attaches the operations' factories
    from nasrestore import registry
    from nasrestore.assemble.chain import chain
    from nasrestore.assemble.network import hyper_parameters, supernet
    from nasrestore.graph.compile import compile_space
    from nasrestore.spec.load import load_recipe

    loaded = load_recipe(RECIPE)
    recipe = loaded.recipe
    torch.manual_seed(0)
    network = supernet(recipe, compile_space(loaded.space)).to(memory_format=torch.channels_last)
    hyper = hyper_parameters(recipe)
    batch, patch = recipe.data.batch, recipe.data.patch
    seeds = iter((1, 2))
    levels = chain(
        recipe,
        recipe.search,
        network,
        hyper,
        lambda level: Stream(next(seeds), batch, patch),
        torch.device("cpu"),
    )
    weights, architecture = levels
    weights.step(0.5)
    architecture.gradient(0.5, [weights])  # warms up
    rows = {}
    for name, method in ROWS.items():
        settings = {key: value for key, value in method.items() if key != "name"}
        architecture.hypergradient = registry.hypergradient.factory(method["name"])(**settings)
        times, said = [], None
        for _ in range(rounds):
            began = time.process_time()
            said = architecture.gradient(0.5, [weights]).unsolved
            times.append(time.process_time() - began)
        seconds = min(times)
        peak = peak_bytes(lambda: architecture.gradient(0.5, [weights]))
        rows[name] = {"method": dict(method), "seconds": seconds, "peak": peak, "unsolved": said}
    return rows
