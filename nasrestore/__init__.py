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
from types import ModuleType
from typing import TYPE_CHECKING, Any

import nasrestore.search
from nasrestore.errors import NasRestoreError, RunStopped, SpecError
from nasrestore.registry import (
    curvature,
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
    from nasrestore.api.hypergradient import hypergradient_of
    from nasrestore.api.public import (
        build,
        derive,
        evaluate,
        load,
        load_genotype,
        load_space,
        synthesize,
        train,
    )
    from nasrestore.graph.signature import (
        HypergradientSignature,
        Layer,
        LossSignature,
        OperationSignature,
        Parameter,
        Signature,
    )

_LAZY = {
    **dict.fromkeys(
        (
            "build",
            "derive",
            "evaluate",
            "load",
            "load_genotype",
            "load_space",
            "synthesize",
            "train",
        ),
        "nasrestore.api.public",
    ),
    "hypergradient_of": "nasrestore.api.hypergradient",
    **dict.fromkeys(
        (
            "HypergradientSignature",
            "Layer",
            "LossSignature",
            "OperationSignature",
            "Parameter",
            "Signature",
        ),
        "nasrestore.graph.signature",
    ),
}

__all__ = [
    "HypergradientSignature",
    "Layer",
    "LossSignature",
    "NasRestoreError",
    "OperationSignature",
    "Parameter",
    "RunStopped",
    "Signature",
    "SpecError",
    "build",
    "curvature",
    "dataset",
    "derive",
    "evaluate",
    "hypergradient",
    "hypergradient_of",
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
    "synthesize",
    "train",
]


class _CallableRoom(ModuleType):
    """The room ``nasrestore.search``, which is also the function ``nr.search``.

    Importing a submodule binds its name in the package, so that a function of that name would be
    there only until then.
    """

    def __call__(self, *args: Any, **options: Any) -> Any:
        from nasrestore.api.public import search

        return search(*args, **options)


nasrestore.search.__class__ = _CallableRoom
search = nasrestore.search


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'nasrestore' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
