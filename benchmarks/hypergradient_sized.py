"""Two problems that are large enough to time, whose hypergradient is known exactly.

A quadratic, and a small network with weights of samples and a weight decay above it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

Tensors = tuple[Tensor, ...]
Function = Callable[[Sequence[Tensor], Sequence[Tensor]], Tensor]


@dataclass(frozen=True)
class Sized:
    """Objectives of ``(w, a)`` at a minimum in ``w``, and the hypergradient there.

    Attributes:
        constants: other tensors of the objectives, which ``to`` converts as well.
        make: the objectives from the constants: lower and upper.
        rate: one over the largest eigenvalue of the lower Hessian.
        condition: of the lower Hessian.
    """

    name: str
    constants: Tensors
    make: Callable[[Tensors], tuple[Function, Function]]
    w: Tensors
    a: Tensors
    exact: Tensor
    rate: float
    condition: float

    def to(self, dtype: torch.dtype) -> Sized:
        """All but ``exact`` in another type."""

        def moved(tensors: Tensors) -> Tensors:
            return tuple(tensor.to(dtype) for tensor in tensors)

        return replace(self, constants=moved(self.constants), w=moved(self.w), a=moved(self.a))


def flat(tensors: Sequence[Tensor]) -> Tensor:
    return torch.cat([tensor.detach().reshape(-1) for tensor in tensors])


def error(found: Sequence[Tensor], exact: Tensor) -> float:
    """Relative, Euclidean."""
    return float((flat(found).double() - exact).norm() / exact.norm())


# -- a quadratic -----------------------------------------------------------------------------


def quadratic(size: int = 3000, own: int = 100, condition: float = 100.0) -> Sized:
    """``g = 1/2 w'Aw - w'(Ba + c)``, ``f = 1/2 |w - t|^2``, with the largest eigenvalue of ``A`` at 1."""
    generator = torch.Generator().manual_seed(0)

    def random(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    reflectors = [one / one.norm() for one in random(3, size)]

    def turned(x: Tensor) -> Tensor:
        for one in reflectors:
            x = x - 2 * torch.outer(one, one @ x)
        return x

    values = torch.logspace(-2, 0, size, dtype=torch.float64).pow(
        float(torch.log10(torch.tensor(condition))) / 2
    )
    basis = turned(torch.eye(size, dtype=torch.float64))
    matrix = (basis * values) @ basis.T
    cross, shift, target, a = random(size, own), random(size), random(size), random(own)

    def solved(x: Tensor) -> Tensor:
        return basis @ ((basis.T @ x) / values)

    def make(constants: Tensors) -> tuple[Function, Function]:
        A, B, c, t = constants  # noqa: N806

        def lower(w: Sequence[Tensor], a: Sequence[Tensor]) -> Tensor:
            return w[0] @ (A @ w[0]) / 2 - w[0] @ (B @ a[0] + c)

        def upper(w: Sequence[Tensor], a: Sequence[Tensor]) -> Tensor:
            return (w[0] - t).square().sum() / 2 + 0 * a[0].sum()

        return lower, upper

    w = solved(cross @ a + shift)
    exact = cross.T @ solved(w - target)
    constants = (matrix, cross, shift, target)
    return Sized("quadratic", constants, make, (w,), (a,), exact, 1.0, condition)


# -- a network -------------------------------------------------------------------------------

SIDE, HIDDEN = 4, 8  # of a patch, pixels; of the network
INPUTS = 3 * SIDE * SIDE
SHAPES = ((HIDDEN, INPUTS), (HIDDEN,), (INPUTS, HIDDEN), (INPUTS,))


def network(images: int = 32, patches: int = 32, decay: float = 0.1) -> Sized:
    """Denoising of patches by two layers: ``a`` weighs each training image, and is the log of a weight decay."""
    generator = torch.Generator().manual_seed(0)

    def random(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    small = torch.sigmoid(random(2 * images * patches, 3, 2, 2))
    clean = F.interpolate(small, size=(SIDE, SIDE), mode="bilinear")
    clean = clean.reshape(2, images, patches, INPUTS)
    noisy = clean + 0.5 * random(*clean.shape)
    constants = (noisy[0], clean[0], noisy[1], clean[1])
    a = (0.5 * random(images), torch.tensor([decay], dtype=torch.float64).log())
    start = tuple(0.3 * random(*shape) for shape in SHAPES)
    lower, upper = _network(constants)
    w = _trained(lower, start, a)
    hessian, exact = _exact(lower, upper, w, a)
    values = torch.linalg.eigvalsh(hessian)
    if values[0] <= 0:
        raise RuntimeError(f"not at a minimum: an eigenvalue is {float(values[0]):.3g}")
    rate, condition = 1 / float(values[-1]), float(values[-1] / values[0])
    return Sized("network", constants, _network, w, a, exact, rate, condition)


def _network(constants: Tensors) -> tuple[Function, Function]:
    noisy, clean, held_noisy, held_clean = constants

    def each(w: Sequence[Tensor], x: Tensor, y: Tensor) -> Tensor:
        found = x + F.linear(F.silu(F.linear(x, w[0], w[1])), w[2], w[3])
        return (found - y).square().sum(2).mean(1)

    def lower(w: Sequence[Tensor], a: Sequence[Tensor]) -> Tensor:
        size = torch.stack([tensor.square().sum() for tensor in w]).sum()
        return (torch.sigmoid(a[0]) * each(w, noisy, clean)).mean() + a[1].exp()[0] / 2 * size

    def upper(w: Sequence[Tensor], a: Sequence[Tensor]) -> Tensor:
        return each(w, held_noisy, held_clean).mean() + 0 * (a[0].sum() + a[1][0])

    return lower, upper


def _trained(lower: Function, w: Tensors, a: Tensors) -> Tensors:
    w = tuple(tensor.clone().requires_grad_() for tensor in w)
    optimizer = torch.optim.LBFGS(
        w,
        max_iter=4000,
        history_size=50,
        tolerance_grad=1e-12,
        tolerance_change=0,
        line_search_fn="strong_wolfe",
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        value = lower(w, a)
        value.backward()
        return value

    optimizer.step(closure)
    return tuple(tensor.detach() for tensor in w)


def _exact(lower: Function, upper: Function, w: Tensors, a: Tensors) -> tuple[Tensor, Tensor]:
    """The lower Hessian, whole, and ``- g_aw g_ww^-1 F_w``."""
    w = tuple(tensor.clone().requires_grad_() for tensor in w)
    a = tuple(tensor.clone().requires_grad_() for tensor in a)
    slope = torch.cat(
        [part.reshape(-1) for part in torch.autograd.grad(lower(w, a), w, create_graph=True)]
    )
    rows = [flat(torch.autograd.grad(one, w, retain_graph=True)) for one in slope]
    hessian = torch.stack(rows)
    hessian = (hessian + hessian.T) / 2
    right = flat(torch.autograd.grad(upper(w, a), w))
    solution = torch.linalg.solve(hessian, right)
    return hessian, -flat(torch.autograd.grad(slope, a, solution))
