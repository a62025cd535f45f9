"""What a pass depends on beside its tensors is the same when it is run again: modes, noise, precision."""

from __future__ import annotations

import pytest
import torch
from test_law import rdmc
from test_recompute import assert_close, chain, images, supernet
from torch import nn
from torch.func import functional_call

from nasrestore.network.mixture import Operations
from nasrestore.network.recompute import recomputed


class Drops(nn.Sequential):
    def __init__(self) -> None:
        super().__init__(nn.Conv2d(2, 2, 1), nn.Dropout(0.5))


@pytest.mark.parametrize("weighed", [False, True])
def test_random_numbers_are_drawn_again_and_only_once_for_the_outside(weighed: bool) -> None:
    module = Drops().double()
    x = torch.rand(1, 2, 8, 8, dtype=torch.float64, requires_grad=True)
    share = torch.tensor(2.0, dtype=torch.float64) if weighed else None
    results = []
    for again in (True, False):
        torch.manual_seed(5)
        result = recomputed(module, x, share) if again else module(x) * (2 if weighed else 1)
        torch.rand(3)
        (found,) = torch.autograd.grad(result.square().sum(), x)
        results.append([result, found, torch.rand(3)])
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))
    assert bool((results[0][0] == 0).any())


@pytest.mark.parametrize("change", ["eval", "stage", "statistics"])
def test_a_mode_that_changes_after_the_pass_does_not_count(change: str) -> None:
    graph = rdmc(width=2, **{"recursion.norm": "per_stage"}) if change == "stage" else chain()
    memory = "mixture"
    sides = []
    for network in (supernet(graph, memory), supernet(graph)):
        output = network(images())["restored"]
        if change == "eval":
            network.eval()
        for module in network.modules():
            if change == "statistics" and isinstance(module, nn.BatchNorm2d):
                module.track_running_stats = False
                module.momentum = 0.9
            if hasattr(module, "stage"):
                module.stage = 0
        parameters = list(network.parameters())
        found = torch.autograd.grad(output.square().sum(), parameters, allow_unused=True)
        sides.append([*found, *network.buffers()])
    assert_close(*sides)


def test_buffers_that_a_pass_changes_and_reads_are_those_before_it() -> None:
    """Spectral normalisation moves its estimate in every pass, and divides by it."""
    sides = []
    x = torch.rand(1, 2, 6, 6, dtype=torch.float64, requires_grad=True)
    for again in (True, False):
        torch.manual_seed(6)
        module = nn.Sequential(nn.utils.parametrizations.spectral_norm(nn.Conv2d(2, 3, 3)))
        module.double()
        result = recomputed(module, x) if again else module(x)
        of = [x, *module.parameters()]
        first = torch.autograd.grad(result.square().sum(), of, create_graph=True)
        total = torch.stack([one.square().sum() for one in first]).sum()
        second = torch.autograd.grad(total, of)
        sides.append([result.detach(), *first, *second, *module.buffers()])
    assert_close(*sides)


def test_precision_is_that_of_the_pass() -> None:
    sides = []
    for memory in ("mixture", "plain"):
        network = supernet(chain(), memory).float()
        with torch.autocast("cpu", torch.bfloat16):
            output = network(images().float())["restored"].float()
        parameters = list(network.parameters())
        found = torch.autograd.grad(output.square().mean(), parameters, allow_unused=True)
        sides.append([output.detach(), *found])
    assert sides[0][0] is not None and sides[1][0] is not None
    assert torch.equal(sides[0][0], sides[1][0])
    assert_close(*sides, tolerance=1e-3)


def test_precision_around_the_gradient_does_not_count() -> None:
    x = torch.rand(1, 2, 5, 5, requires_grad=True)
    module = nn.Conv2d(2, 2, 3)
    (expected,) = torch.autograd.grad(module(x).square().sum(), x)
    result = recomputed(module, x).square().sum()
    dtypes = []
    module.register_forward_hook(lambda *inside: dtypes.append(inside[-1].dtype))
    result = recomputed(module, x).square().sum()
    with torch.autocast("cpu", torch.bfloat16):
        (found,) = torch.autograd.grad(result, x)
    assert dtypes == [torch.float32, torch.float32]
    torch.testing.assert_close(found, expected, rtol=0.05, atol=0.05)


def test_a_module_with_a_forward_of_its_own_stays_plain() -> None:
    """A compiled module's is bound to the module, so that a double would compute with the original's."""
    module = nn.Conv2d(2, 2, 1)
    mixture = Operations({"one": module, "two": nn.Identity()})
    mixture.memory = "mixture"
    module.forward = module.forward  # type: ignore[method-assign]
    others = {n: torch.rand_like(p, requires_grad=True) for n, p in mixture.named_parameters()}
    x, weights = torch.rand(1, 2, 4, 4), torch.tensor([0.5, 0.5])
    found = torch.autograd.grad(
        functional_call(mixture, others, (x, weights)).square().sum(), list(others.values())
    )
    mixture.memory = "plain"
    expected = torch.autograd.grad(
        functional_call(mixture, others, (x, weights)).square().sum(), list(others.values())
    )
    assert_close(list(found), list(expected), 1e-6)
