"""A network made ready to restore computes the same, from fewer modules."""

from __future__ import annotations

import torch
from test_law import networks, rdmc
from torch import nn

from nasrestore.network.inference import for_inference


def test_folding_keeps_the_function_and_the_original() -> None:
    _, derived = networks(rdmc(), 0)
    derived.eval()
    before = {name: value.clone() for name, value in derived.state_dict().items()}
    made = for_inference(derived)
    images = torch.rand(2, 3, 32, 48)
    with torch.no_grad():
        expected, found = derived(images)["restored"], made(images)["restored"]
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    assert not any(isinstance(m, nn.BatchNorm2d) for m in made.modules())
    assert not any(p.requires_grad for p in made.parameters())
    assert all(torch.equal(derived.state_dict()[name], value) for name, value in before.items())


def test_a_normalisation_of_its_own_for_each_stage_stays() -> None:
    _, derived = networks(rdmc(width=4, **{"recursion.norm": "per_stage"}), 0)
    derived.eval()
    images = torch.rand(1, 3, 16, 32)
    with torch.no_grad():
        expected, found = derived(images)["restored"], for_inference(derived)(images)["restored"]
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
