"""Neural architecture search for image and video restoration.

    import nasrestore as nr

    space = nr.load_space("spaces/rdmc.yaml")          # SearchGraph
    net = nr.build(space)                              # supernet, an nn.Module
    result = nr.search("recipes/rdmc-quick.yaml", out="runs/rdmc")
    model = nr.load("runs/rdmc")                       # derived network, ready to restore
    clean = model.restore(image)                       # H W C uint8 in and out, any size

Importing the package imports no torch; that happens at the first call that needs it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from nasrestore.errors import NasRestoreError, RunStopped, SpecError
from nasrestore.registry import (
    dataset,
    hypergradient,
    loss,
    metric,
    operation,
    optimizer,
    relaxation,
    schedule,
)

if TYPE_CHECKING:
    from nasrestore.api.public import (
        build,
        derive,
        evaluate,
        load,
        load_genotype,
        load_space,
        search,
        train,
    )
    from nasrestore.graph.signature import Layer, OperationSignature, Parameter, Signature

_LAZY = {
    **dict.fromkeys(
        ("build", "derive", "evaluate", "load", "load_genotype", "load_space", "search", "train"),
        "nasrestore.api.public",
    ),
    **dict.fromkeys(
        ("Layer", "OperationSignature", "Parameter", "Signature"), "nasrestore.graph.signature"
    ),
}

__all__ = [
    "Layer",
    "NasRestoreError",
    "OperationSignature",
    "Parameter",
    "RunStopped",
    "Signature",
    "SpecError",
    "build",
    "dataset",
    "derive",
    "evaluate",
    "hypergradient",
    "load",
    "load_genotype",
    "load_space",
    "loss",
    "metric",
    "operation",
    "optimizer",
    "relaxation",
    "schedule",
    "search",
    "train",
]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'nasrestore' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
