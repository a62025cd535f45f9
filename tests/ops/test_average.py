"""The average of two images: its shares sum to one, and fixed ones are what they say."""

from __future__ import annotations

import pytest
import torch

from nasrestore.graph.catalog import OPERATIONS
from nasrestore.graph.signature import SignatureError
from nasrestore.ops.average import AttentionAverage


def swapped(x: torch.Tensor) -> torch.Tensor:
    first, second = x.chunk(2, dim=1)
    return torch.cat([second, first], dim=1)


@pytest.mark.parametrize("share", [0, 0.5, 0.7, 1])
def test_a_fixed_share_has_nothing_to_learn(share: float) -> None:
    module = AttentionAverage(6, share=share)
    x = torch.rand(2, 6, 4, 5)
    torch.testing.assert_close(module(x), share * x[:, :3] + (1 - share) * x[:, 3:])
    assert not list(module.parameters())


def test_shares_of_nothing_and_all_are_exact() -> None:
    x = torch.rand(2, 6, 4, 5)
    assert torch.equal(AttentionAverage(6, share=0)(x), x[:, 3:])
    assert torch.equal(AttentionAverage(6, share=1)(x), x[:, :3])


def test_the_softmax_of_the_pooled_features() -> None:
    module = AttentionAverage(4, features=5)
    first, second = torch.rand(2, 3, 2, 6, 7)
    assert module.logits is not None
    with torch.no_grad():
        pooled = [module.logits(image).mean((2, 3), keepdim=True) for image in (first, second)]
        share = pooled[0].exp() / (pooled[0].exp() + pooled[1].exp())
        expected = share * first + (1 - share) * second
        torch.testing.assert_close(module(torch.cat([first, second], dim=1)), expected)
    assert share.shape == (3, 2, 1, 1) and share.std() > 0


def test_order_does_not_matter_and_equal_images_stay() -> None:
    module = AttentionAverage(6)
    x = torch.rand(2, 6, 8, 8)
    with torch.no_grad():
        torch.testing.assert_close(module(x), module(swapped(x)))
        same = x[:, :3]
        torch.testing.assert_close(module(torch.cat([same, same], dim=1)), same)


def test_items_of_a_batch_do_not_meet() -> None:
    module = AttentionAverage(6)
    x = torch.rand(3, 6, 8, 8)
    with torch.no_grad():
        alone = torch.cat([module(item) for item in x.split(1)])
        torch.testing.assert_close(module(x), alone)


def test_an_odd_number_of_channels_is_refused() -> None:
    signature = OPERATIONS["attention_average"]
    with pytest.raises(SignatureError, match=r"two images of the same channels .* got 7 channels"):
        signature.channels(7, signature.read({}))
    with pytest.raises(SignatureError, match=r"from 0 to 1, got 1\.5"):
        signature.read({"share": 1.5})
