"""Hypergradients against betty and TorchOpt, on the same problems with the same number of steps.

    python -m benchmarks.hypergradient --threads 1

A quadratic of 3000 variables of condition 100, and a small denoising network with weights of samples and a
weight decay above it, both at a minimum, where the exact hypergradient is known. Errors are measured
in float64 and in float32; times and memory in float32. That a peer gives in float64 what
nasrestore gives, and by how much both are off, is measured before anything is timed.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import torch

from benchmarks.hypergradient_peers import Side, betty, left_out, ours, torchopt
from benchmarks.hypergradient_sized import Sized, error, flat, network, quadratic
from benchmarks.paired import alternate, arguments, print_table, write_result
from benchmarks.peak import MEASURE, peak_bytes

OURS = "nasrestore"
AGREED = 1e-3  # rounding in conjugate gradients, and the step ahead of our finite difference
STEPS, TERMS = 40, 40
# Betty's conjugate gradients make the next direction of the residual before: right for one step alone.
KNOWN_TO_DIFFER = ("betty",)
Sides = dict[str, Callable[[Sized], Side]]


def conjugate_gradient(steps: int) -> Sides:
    def solver(problem: Sized) -> Side:
        from torchopt.linear_solve import solve_cg

        return torchopt(problem, solve_cg(maxiter=steps, rtol=1e-10))

    return {
        OURS: lambda p: ours(p, {"name": "conjugate_gradient", "steps": steps}),
        "betty": lambda p: betty(p, type="cg", cg_iterations=steps),
        "torchopt": solver,
    }


def neumann(terms: int) -> Sides:
    """A peer's ``n`` iterations are ``n + 1`` terms."""

    def solver(problem: Sized) -> Side:
        from torchopt.linear_solve import solve_inv

        return torchopt(problem, solve_inv(ns=True, maxiter=terms - 1, alpha=problem.rate))

    def bettys(problem: Sized) -> Side:
        rate = problem.rate
        return betty(problem, type="neumann", neumann_iterations=terms - 1, neumann_alpha=rate)

    return {
        OURS: lambda p: ours(p, {"name": "neumann", "terms": terms, "rate": p.rate}),
        "betty": bettys,
        "torchopt": solver,
    }


def finite_difference() -> Sides:
    """With a rate of 1, which betty's has; ours also takes DARTS's step ahead, one gradient more."""
    return {
        OURS: lambda p: ours(p, {"name": "finite_difference", "rate": 1.0}),
        "betty": lambda p: betty(p, type="darts"),
    }


METHODS: dict[str, Sides] = {
    "finite_difference": finite_difference(),
    f"neumann, {TERMS} terms": neumann(TERMS),
    "conjugate_gradient, 1 step": conjugate_gradient(1),
    f"conjugate_gradient, {STEPS} steps": conjugate_gradient(STEPS),
}


def compared(problem: Sized, method: str, without: set[str], rounds: int) -> dict[str, Any]:
    """Errors, then seconds, then peak bytes of each side."""
    makers = {name: make for name, make in METHODS[method].items() if name not in without}
    errors = checked(problem, method, makers)
    narrow = problem.to(torch.float32)
    sides = {name: make(narrow) for name, make in makers.items()}
    for name, side in sides.items():
        errors[name]["error_float32"] = error(side(), problem.exact)
    summary = alternate(sides, rounds=rounds, warm_ups=1).summary(OURS)
    print(f"\n{problem.name}, {method}")
    print_table(summary, OURS)
    peak = {name: peak_bytes(side) for name, side in sides.items()}
    for name, row in summary.items():
        row |= errors[name]
        row["peak_bytes"] = peak[name]
        row["peak_of_nasrestore"] = round(peak[name] / peak[OURS], 3)
        shown = f"error {row['error_float64']:.2e}, in float32 {row['error_float32']:.2e}"
        print(f"{name:10}  {shown}; peak {peak[name] / 1e6:.2f} MB")
    return summary


def checked(
    problem: Sized, method: str, makers: dict[str, Callable[[Sized], Side]]
) -> dict[str, dict[str, float]]:
    """The errors of all sides in float64.

    Raises:
        RuntimeError: a side differs from ours that should not, so that their times say nothing.
    """
    found = {name: make(problem)() for name, make in makers.items()}
    mine = flat(found[OURS])
    errors = {}
    for name, gradient in found.items():
        difference = error(gradient, mine)
        errors[name] = {
            "error_float64": error(gradient, problem.exact),
            "from_nasrestore": difference,
        }
        differs = name in KNOWN_TO_DIFFER and method.startswith("conjugate_gradient")
        if difference > AGREED and not differs:
            raise RuntimeError(f"{problem.name}, {method}: {name} is {difference:.3g} from ours")
    return errors


def scales(problem: Sized) -> dict[str, float]:
    """The error of betty's conjugate gradients by its ``cg_alpha``, which should be of no account."""
    return {
        f"{iterations} iterations, cg_alpha {scale:g}": error(
            betty(problem, type="cg", cg_iterations=iterations, cg_alpha=scale)(), problem.exact
        )
        for iterations in (1, STEPS)
        for scale in (1.0, 0.1)
    }


def main() -> int:
    parser = arguments(__doc__, rounds=7)
    parser.add_argument("--threads", type=int, default=None, help="default: torch's own")
    options = parser.parse_args()
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    warnings.filterwarnings("ignore", category=FutureWarning, module="torchopt")
    before, without = os.getloadavg()[0], left_out()
    for name, why in without.items():
        print(f"left out: {name}: {why}")
    found: dict[str, Any] = {}
    for problem in (quadratic(), network()):
        size = {"variables": flat(problem.w).numel(), "upper_variables": flat(problem.a).numel()}
        sides = {
            method: compared(problem, method, set(without), options.rounds) for method in METHODS
        }
        found[problem.name] = {**size, "condition": problem.condition, "methods": sides}
        if "betty" not in without:
            found[problem.name]["betty_cg"] = scales(problem)
    content = {
        "threads": torch.get_num_threads(),
        "rounds": options.rounds,
        "peak": MEASURE,
        "left_out": without,
        "peers": {
            name: version(name)
            for name, module in (("betty-ml", "betty"), ("torchopt", "torchopt"))
            if module not in without
        },
        "load_average": {"before": round(before, 2), "after": round(os.getloadavg()[0], 2)},
        "problems": found,
    }
    print(write_result("hypergradient", content, options.out))
    return 0


if __name__ == "__main__":
    sys.exit(main())
