"""The signatures of what a search is made of: optimizers, schedules, relaxations, hypergradients."""

from __future__ import annotations

from nasrestore.graph.signature import (
    HypergradientSignature,
    Parameter,
    Params,
    Signature,
    SignatureError,
)

_RATE = Parameter("float", 1e-3, least=0, doc="learning rate")
_DECAY = Parameter("float", 0.0, least=0, doc="L2 penalty")
_BETAS = Parameter("floats", (0.9, 0.999), least=0, below=1, length=2, doc="decay of the means")
OPTIMIZERS: dict[str, Signature] = {
    "adam": Signature(
        "Adam",
        {
            "rate": _RATE,
            "betas": _BETAS,
            "weight_decay": _DECAY,
        },
    ),
    "adamw": Signature(
        "Adam with decoupled weight decay",
        {
            "rate": _RATE,
            "betas": _BETAS,
            "weight_decay": _DECAY,
        },
    ),
    "sgd": Signature(
        "stochastic gradient descent",
        {
            "rate": _RATE,
            "momentum": Parameter("float", 0.0, least=0, most=1),
            "weight_decay": _DECAY,
        },
    ),
}

SCHEDULES: dict[str, Signature] = {
    "constant": Signature("the rate as it is"),
    "step": Signature(
        "times the factor after each of the epochs",
        {
            "after": Parameter("floats", least=0, doc="epochs (or, without epochs, fractions)"),
            "factor": Parameter("float", 0.2, least=0, most=1),
        },
    ),
    "cosine": Signature(
        "half a cosine down to the final share of the rate",
        {"final": Parameter("float", 0.0, least=0, most=1)},
    ),
}

_TEMPERATURE = Parameter("float", 1.0, least=1e-3, doc="divides the logits")
RELAXATIONS: dict[str, Signature] = {
    "softmax": Signature(
        "keep times the softmax over the candidates, capped at 1", {"temperature": _TEMPERATURE}
    ),
    "sigmoid": Signature("each candidate by itself", {"temperature": _TEMPERATURE}),
    "sparsemax": Signature("keep times the projection onto the simplex, capped at 1"),
    "gumbel_softmax": Signature(
        "softmax of perturbed logits; hard: zeros and ones forward, soft gradients",
        {
            "temperature": _TEMPERATURE,
            "final_temperature": Parameter("float", None, least=1e-3, doc="at the search's end"),
            "hard": Parameter("bool", False),
        },
    ),
}

_OWN_RATE = Parameter("float", None, above=0, doc="learning rate; default: the lower level's")
_TOLERANCE = "relative residual up to which it counts as solved"
_UNSOLVED = Parameter(
    "str", "go_on", options=("go_on", "stop"), doc="where a solver does not converge"
)
_DAMPING = Parameter("float", 0.0, least=0, doc="added to the Hessian's diagonal")
_FRESH = {"momentum": "sgd", "betas": "adam", "epsilon": "adam"}


def _of_the_optimizer(given: Params, values: Params) -> None:
    """Options of ``unrolled`` that its optimizer does not have would be without effect."""
    for name, owner in _FRESH.items():
        if name in given and values["optimizer"] != owner:
            message = f"{name} is of optimizer {owner}, and the optimizer is {values['optimizer']}"
            hint = f"optimizer: {owner}"
            if values["optimizer"] == "level":
                hint += f", which begins anew; or leave {name} out: the lower level has its own"
            raise SignatureError(message, name, hint)


def _tolerance_to_stop(given: Params, values: Params) -> None:
    if values["unsolved"] == "stop" and values["tolerance"] is None:
        message = "unsolved: stop wants a tolerance: a truncated series always leaves a residual"
        raise SignatureError(message, "unsolved", "such as tolerance: 0.01")


HYPERGRADIENTS: dict[str, Signature] = {
    "first_order": HypergradientSignature(
        "the objective's own gradient, with the levels below held fixed", below=False
    ),
    "finite_difference": HypergradientSignature(
        "DARTS's second order: one step ahead, a central difference",
        {"epsilon": Parameter("float", 0.01, above=0), "rate": _OWN_RATE},
    ),
    "unrolled": HypergradientSignature(
        "reverse mode through steps of the lower level",
        {
            "steps": Parameter("int", 1, least=1, most=10_000, doc="of the lower level"),
            "optimizer": Parameter("str", "level", options=("level", "sgd", "adam")),
            "rate": _OWN_RATE,
            "momentum": Parameter("float", 0.0, least=0, below=1, doc="of sgd"),
            "betas": _BETAS,
            "epsilon": Parameter("float", 1e-8, above=0, doc="of adam, inside the root"),
            "truncate": Parameter("int", None, least=1, doc="differentiate the last so many steps"),
        },
        steps_through=True,
        agree=_of_the_optimizer,
    ),
    "neumann": HypergradientSignature(
        "implicit, by a truncated Neumann series",
        {
            "terms": Parameter("int", 20, least=1, most=1_000_000, doc="summands"),
            "rate": _OWN_RATE,
            "tolerance": Parameter("float", None, above=0, doc=f"{_TOLERANCE}; default: below 1"),
            "unsolved": _UNSOLVED,
        },
        agree=_tolerance_to_stop,
    ),
    "conjugate_gradient": HypergradientSignature(
        "implicit, by conjugate gradients",
        {
            "steps": Parameter("int", 20, least=1, most=1_000_000, doc="Hessian products, at most"),
            "tolerance": Parameter("float", 1e-10, above=0, doc=_TOLERANCE),
            "damping": _DAMPING,
            "unsolved": _UNSOLVED,
        },
    ),
    "aggregation": HypergradientSignature(
        "through inner steps that follow both objectives (BDA)",
        {
            "steps": Parameter("int", 10, least=1, most=10_000),
            "share": Parameter(
                "float", 0.5, above=0, below=1, doc="the upper objective's, at first"
            ),
            "decay": Parameter("str", "harmonic", options=("harmonic", "constant")),
            "upper_rate": _OWN_RATE,
            "lower_rate": _OWN_RATE,
        },
    ),
    "value_function": HypergradientSignature(
        "first-order penalty on the lower objective's value gap (BOME)",
        {
            "steps": Parameter("int", 10, least=1, most=10_000, doc="down the lower objective"),
            "rate": _OWN_RATE,
            "eta": Parameter("float", 0.5, above=0, doc="how fast the gap is to fall"),
            "follow": Parameter(
                "int", 0, least=0, most=10_000, doc="steps of the penalised weights"
            ),
        },
    ),
}

CURVATURES: dict[str, Signature] = {
    "frozen": Signature("the levels further below are constants"),
    "unrolled": HypergradientSignature(
        "they take steps, and gradients go through",
        {
            "steps": Parameter("int", None, least=1, most=10_000, doc="default: the level's own"),
            "optimizer": Parameter("str", "level", options=("level", "sgd")),
            "rate": _OWN_RATE,
        },
        steps_through=True,
    ),
    "resolved": Signature(
        "they are solved for again, by the implicit function theorem",
        {
            "steps": Parameter("int", 50, least=1, most=1_000_000, doc="of conjugate gradients"),
            "tolerance": Parameter("float", 1e-12, above=0, doc=_TOLERANCE),
            "damping": _DAMPING,
            "unsolved": _UNSOLVED,
        },
    ),
}
