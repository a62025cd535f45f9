"""Which hypergradient is valid where in a chain: asked of the checks that every recipe goes through."""

from __future__ import annotations

from typing import Any

from nasrestore import registry
from nasrestore.assemble.prepare import prepare
from nasrestore.errors import NasRestoreError
from nasrestore.spec.load import overrides_of

RECIPE = "rdmc-quick"
ARCHITECTURE = "architecture logits"
THROUGH_WEIGHTS = "a loss weight that acts through the weights alone"
KINDS = (ARCHITECTURE, THROUGH_WEIGHTS)
CURVATURES = ("left out", "frozen", "unrolled", "resolved")
PLACES = (
    "level 2 of 2",
    "level 2 of 3",
    *(f"level 3 of 3, curvature {curvature}" for curvature in CURVATURES),
)
VALID = "valid"


def answers() -> list[dict[str, str]]:
    """For each kind of variable, method and place: ``valid``, or what the check says."""
    import nasrestore.graph.catalog  # noqa: F401  declares the built-in names

    return [
        {
            "variables": kind,
            "method": method,
            "place": place,
            "answer": _answer(kind, method, place),
        }
        for kind in KINDS
        for method in registry.hypergradient.names()
        for place in PLACES
    ]


def _answer(kind: str, method: str, place: str) -> str:
    try:
        prepare(RECIPE, overrides_of(values=recipe(kind, method, place)))
    except NasRestoreError as error:
        return error.message
    return VALID


def recipe(kind: str, method: str, place: str) -> dict[str, Any]:
    """What is changed in ``rdmc-quick``: its levels, and a training objective with loss weights.

    In a chain of three the level that is not asked about has the other kind of variable, and is
    valid by itself. The innermost level owns the architecture where no other does.
    """
    number, of = place.removeprefix("level ").split(",")[0].split(" of ")
    asked = _level("asked", kind, {"name": method})
    other = _level("other", KINDS[1 - KINDS.index(kind)], {"name": "unrolled"})
    curvature = place.rpartition(" ")[2]
    if of == "2":
        levels = [asked]
    elif number == "2":
        levels = [asked, {**other, "curvature": "unrolled"}]
    else:
        levels = [other, asked if curvature == "out" else {**asked, "curvature": curvature}]
    scalars = [one["name"] for one in levels if one["variables"] != "architecture"]
    inner = ["weights"] if len(scalars) < len(levels) else ["weights", "architecture"]
    terms = {loss: f"${name}" for name, loss in zip(scalars, ("mse", "l1"), strict=False)}
    return {
        "hyper": {name: {"start": 0.1, "group": name} for name in scalars},
        "objectives.training": {"ssim": 1, **terms},
        "search.levels": [
            {"name": "weights", "variables": inner, "objective": "training"},
            *levels,
        ],
    }


def _level(name: str, kind: str, method: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": name,
        "variables": "architecture" if kind == ARCHITECTURE else name,
        "objective": "restoration",
        "data": "validation",
        "hypergradient": method,
    }
