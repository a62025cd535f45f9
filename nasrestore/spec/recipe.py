"""A recipe as YAML says it: space, data, objectives, and the levels of search and training."""

from __future__ import annotations

import math
import re
from typing import Any, Literal

from nasrestore.errors import Location, SpecError, raise_all
from nasrestore.spec.data import DataSpec
from nasrestore.spec.evaluate import EvaluateSpec
from nasrestore.spec.schema import Located, entry, read, spec_class
from nasrestore.spec.source import Tree, tree_of
from nasrestore.spec.space import check_format


@spec_class
class NamedSpec(Located):
    """A name with parameters of its own, as in ``{name: adam, rate: 1e-3}`` or ``adam``."""

    name: str
    params: dict[str, Tree]


Strength = float | str  # a number, or the name of a hyper-parameter


@spec_class
class TermSpec(Located):
    """One term of an objective, as in ``{weight: 0.1, output: restored}``, ``0.1`` or ``$gamma``.

    Attributes:
        loss: its name; the term's own unless it has one of its own for that.
        weight: a number, or the name of a hyper-parameter.
        variables: the parameter group that it reads, where it is a loss of variables.
    """

    loss: str
    weight: Strength
    output: str
    variables: str | None
    params: dict[str, Tree]


@spec_class
class HyperSpec(Located):
    """A scalar outside the network that a level may own; ``$NAME`` stands for it."""

    start: float = entry(doc="its value at the start")
    range: list[float] | None = entry(None, doc="least and most value")
    transform: Literal["none", "log", "logit"] = entry(
        "none", doc="in what it moves: log keeps it positive, logit within its range"
    )
    group: str = entry("hyper", doc="by which a level names it among its variables")


MOST_SEED = 2**62 - 1  # torch takes 64 bits, and every stream has a seed of its own
DEVICE = re.compile(r"auto|cpu|cuda(:[0-9]{1,3})?", re.ASCII)

_HYPER_NAME = re.compile(r"\$[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_NAMED_ANY: list[dict[str, Any]] = [
    {"type": "string"},
    {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]},
]
_NAMED_SCHEMA = {"anyOf": _NAMED_ANY}
_HYPER_PATTERN = {"type": "string", "pattern": r"^\$[A-Za-z_][A-Za-z0-9_]*$"}
_STRENGTH_SCHEMA = {"anyOf": [{"type": "number"}, _HYPER_PATTERN]}
_TERM_SCHEMA = {
    "anyOf": [
        {"type": "number"},
        _HYPER_PATTERN,
        {
            "type": "object",
            "properties": {
                "loss": {"type": "string"},
                "weight": _STRENGTH_SCHEMA,
                "output": {"type": "string"},
                "variables": {"type": "string"},
            },
        },
    ]
}

_OBJECTIVES_SCHEMA = {
    "type": "object",
    "additionalProperties": {"type": "object", "additionalProperties": _TERM_SCHEMA},
}


def _number(tree: Tree) -> float:
    value = tree.value
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise tree.error(f"expected a number, got {_shown(tree)}")
    return float(value)


def read_strength(tree: Tree) -> Strength:
    """A number, or the name of a hyper-parameter from ``$NAME``.

    Raises:
        SpecError: neither of both.
    """
    value = tree.value
    if isinstance(value, str):
        if not _HYPER_NAME.fullmatch(value):
            message = f"expected a number, or $NAME of a hyper-parameter, got {_shown(tree)}"
            raise tree.error(message)
        return value[1:]
    return _number(tree)


def _text(tree: Tree, what: str) -> str:
    if not isinstance(tree.value, str) or not tree.value:
        raise tree.error(f"expected {what}, got {_shown(tree)}")
    return tree.value


def _shown(tree: Tree) -> str:
    names = {"mapping": "a mapping", "sequence": "a list"}
    return names.get(tree.kind) or ("nothing" if tree.value is None else repr(tree.value)[:60])


def read_named(tree: Tree) -> NamedSpec:
    """``NAME`` or ``{name: NAME, parameter: value, ...}``.

    Raises:
        SpecError: neither of both.
    """
    if tree.kind == "mapping":
        params = dict(tree.value)
        if "name" not in params:
            raise tree.error("missing key 'name'", "such as {name: adam, rate: 1e-3}")
        return NamedSpec(tree=tree, name=_text(params.pop("name"), "a name"), params=params)
    return NamedSpec(tree=tree, name=_text(tree, "a name, or a mapping with one"), params={})


def read_term(tree: Tree, name: str) -> TermSpec:
    """``WEIGHT`` or ``{weight: WEIGHT, output: NAME, parameter: value, ...}``.

    A weight is a number or ``$NAME``. Its loss is called as the term is, or ``loss:`` names it.

    Raises:
        SpecError: neither of both.
    """
    if tree.kind == "mapping":
        params = dict(tree.value)
        weight = read_strength(params.pop("weight")) if "weight" in params else 1.0
        output = _text(params.pop("output"), "an output") if "output" in params else "restored"
        group = _text(params.pop("variables"), "a group") if "variables" in params else None
        loss = _text(params.pop("loss"), "a loss") if "loss" in params else name
        return TermSpec(
            tree=tree, loss=loss, weight=weight, output=output, variables=group, params=params
        )
    weight = read_strength(tree)
    return TermSpec(
        tree=tree, loss=name, weight=weight, output="restored", variables=None, params={}
    )


def read_objectives(tree: Tree) -> dict[str, dict[str, TermSpec]]:
    """Named sums of loss terms: ``{restoration: {ssim: 1, mse: 0.1}}``.

    Raises:
        SpecError: all errors at once.
    """
    if tree.kind != "mapping" or not tree.value:
        raise tree.error(f"expected a mapping of named objectives, got {_shown(tree)}")
    errors: list[SpecError] = []
    objectives: dict[str, dict[str, TermSpec]] = {}
    for name, terms in tree.value.items():
        if terms.kind != "mapping" or not terms.value:
            errors.append(terms.error(f"expected a mapping of losses, got {_shown(terms)}"))
            continue
        objectives[name] = {}
        for key, term in terms.value.items():
            try:
                objectives[name][key] = read_term(term, key)
            except SpecError as error:
                errors.append(error)
    raise_all(errors)
    return objectives


def _read_device(tree: Tree) -> str:
    found = tree.value
    if not isinstance(found, str) or not DEVICE.fullmatch(found):
        raise tree.error(f"unknown device {_shown(tree)}", "auto, cpu, cuda or cuda:1")
    return found


def _optional_named(doc: str) -> Any:
    return entry(
        None, read=_named_or_null, schema={"anyOf": [*_NAMED_ANY, {"type": "null"}]}, doc=doc
    )


def _named_or_null(tree: Tree) -> NamedSpec | None:
    return None if tree.kind == "scalar" and tree.value is None else read_named(tree)


def _amount_entry(doc: str) -> Any:
    schema = {"anyOf": [{"type": "number", "minimum": 0}, _HYPER_PATTERN]}
    return entry(0.0, read=_read_amount, schema=schema, doc=doc)


def _read_amount(tree: Tree) -> Strength:
    found = read_strength(tree)
    if not isinstance(found, str) and found < 0:
        raise tree.error(f"expected a number >= 0, got {_shown(tree)}")
    return found


@spec_class
class AugmentSpec(Located):
    """Changes of a level's batches whose strength may be learned."""

    noise: Strength = _amount_entry("standard deviation of noise on the degraded image, of 1")
    degradation: Strength = _amount_entry("share by which the degradation is enlarged")


def _named(default: str | None, doc: str) -> Any:
    if default is None:
        return entry(read=read_named, schema=_NAMED_SCHEMA, doc=doc)
    tree = tree_of(default, Location("default", 1, 1))
    return entry(
        default_factory=lambda: read_named(tree), read=read_named, schema=_NAMED_SCHEMA, doc=doc
    )


@spec_class
class LevelSpec(Located):
    """One level of a chain."""

    name: str = entry(doc="name of the level, for log and checkpoint")
    variables: str | list[str] = entry(doc="parameter groups, such as weights or architecture")
    objective: str = entry(doc="name of an objective")
    data: Literal["train", "validation", "all"] = entry(
        "train", doc="the split its batches come from"
    )
    optimizer: NamedSpec = _named("adam", "optimizer of the level's variables")
    schedule: NamedSpec = _named("constant", "learning rate over the run")
    hypergradient: NamedSpec = _named("first_order", "how the levels below enter the gradient")
    curvature: NamedSpec | None = _optional_named(
        "how the levels further below than the next respond: frozen, unrolled, resolved"
    )
    augment: AugmentSpec | None = entry(None, doc="changes of its batches, of a given strength")
    off: bool = entry(False, doc="leaves the level out, where an extended recipe has it")
    steps: int = entry(1, least=1, doc="steps each turn")
    start: float = entry(0, least=0, doc="epoch (without epochs: fraction) in which it begins")
    end: float | None = entry(
        None, above=0, doc="epoch or fraction in which it ends, and its schedule with it"
    )
    clip: float | None = entry(None, above=0, doc="largest gradient norm")


@spec_class
class PhaseSpec(Located):
    """What search and training have in common: how long, and the chain of levels."""

    epochs: float | None = entry(None, above=0, doc="passes over the first level's data")
    steps: int | None = entry(None, least=1, doc="turns; in place of epochs")
    budget: str | None = entry(None, doc="wall-clock time such as 90s, 10m, 2h; shortens the run")
    precision: Literal["auto", "fp32", "bf16"] | None = entry(
        None, doc="of this phase; written down when measured; default: the recipe's"
    )
    threads: int | None = entry(
        None, least=1, doc="CPU threads of this phase; written down when measured"
    )
    levels: list[LevelSpec] = entry(default_factory=list, doc="the chain, innermost first")
    checkpoint: float = entry(60.0, above=0, doc="seconds between checkpoints")


@spec_class
class HealthSpec(Located):
    """What is looked at during a search beyond what costs nothing."""

    eigenvalue_every: int | None = entry(
        None, least=1, doc="turns between looks at the curvature in the architecture"
    )
    stop_ratio: float | None = entry(
        None, above=0, most=1, doc="end where it rises: mean of a window over that of the next"
    )
    window: int = entry(5, least=1, doc="looks that such a mean is over")


@spec_class
class SearchSpec(PhaseSpec):
    """The search."""

    relaxation: NamedSpec = _named("softmax", "from logits to mixing weights")
    limit: int | None = entry(
        None,
        least=2,
        doc="search on so many of the training images or clips, those for validation among them; "
        "training has all",
    )
    start_spread: float = entry(0.0, least=0, doc="standard deviation of the first logits")
    memory: Literal["auto", "plain", "operation", "mixture"] = entry(
        "auto",
        doc="activations to keep: all, of each candidate its result, of each mixture its input; "
        "auto keeps what fits, and writes it down",
    )
    health: HealthSpec | None = entry(None, doc="looks at the curvature")


@spec_class
class TrainSpec(PhaseSpec):
    """Training of the derived network."""

    weights: Literal["search", "fresh"] = entry(
        "search", key="from", doc="carry the searched weights over, or start anew"
    )


@spec_class
class RestoreSpec(Located):
    """How the derived network is applied to whole images."""

    tile: int | None = entry(
        None, least=16, doc="side of the tiles of larger images, pixels; default: 640"
    )
    overlap: int = entry(32, least=0, doc="pixels that neighbouring tiles share")


@spec_class
class RecipeSpec(Located):
    """A whole recipe file, ``extends`` already followed."""

    format: int = entry(doc="version of the file format", least=1)
    recipe: str = entry(doc="name of the recipe; names its run folders")
    description: str | None = entry(None, doc="one line for listings")
    space: Tree = entry(doc="a path, a shipped name, or the space itself")
    plugins: list[str] = entry(default_factory=list, doc="Python files that add names")
    seed: int = entry(0, least=0, most=MOST_SEED, doc="of everything random; less than 2**62")
    device: str = entry(
        "auto",
        read=_read_device,
        schema={"type": "string", "pattern": f"^({DEVICE.pattern})$"},
        doc="auto, cpu, cuda, cuda:1",
    )
    precision: Literal["auto", "fp32", "bf16"] = entry(
        "auto", doc="auto measures whether bf16 autocast is faster"
    )
    deterministic: bool | Literal["auto"] = entry("auto", doc="auto: on a CPU")
    threads: int | None = entry(None, least=1, doc="CPU threads; default: measured")
    data: DataSpec = entry(doc="images, splits, patches")
    objectives: dict[str, dict[str, TermSpec]] = entry(
        read=read_objectives, schema=_OBJECTIVES_SCHEMA, doc="named sums of loss terms"
    )
    hyper: dict[str, HyperSpec] = entry(
        default_factory=dict, names=True, doc="scalars outside the network that levels may own"
    )
    search: SearchSpec = entry(doc="the search")
    train: TrainSpec = entry(doc="training of the derived network")
    evaluate: EvaluateSpec | None = entry(None, doc="metrics")
    restore: RestoreSpec | None = entry(
        None, doc="tiles; a network trained on small patches may know nothing of wider surroundings"
    )


def read_recipe(tree: Tree) -> RecipeSpec:
    """A recipe from its located tree, after ``extends`` and overrides.

    Raises:
        SpecError: all errors of form at once, each with its place.
    """
    check_format(tree, "recipe")
    return read(tree, RecipeSpec)
