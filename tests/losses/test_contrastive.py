"""The contrastive prior against torchvision's network, its closed forms, and what can go wrong."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.error import URLError

import pytest
import torch
from torch import Tensor, nn

from nasrestore.errors import NasRestoreError
from nasrestore.losses.contrastive import (
    LAYER_WEIGHTS,
    VGG19_FILE,
    ContrastivePrior,
    Features,
    vgg19_convolutions,
)
from nasrestore.registry import loss

MEAN = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
PAPER_WEIGHTS = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1)
STD = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)


@pytest.fixture(scope="module")
def torchvision_features() -> nn.Sequential:
    """torchvision's own VGG-19 features with random weights that keep the signal's scale."""
    from torchvision.models.vgg import cfgs, make_layers

    torch.manual_seed(0)
    features = make_layers(cfgs["E"], batch_norm=False)
    for module in features:
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            nn.init.normal_(module.bias, std=0.1)
        if isinstance(module, nn.ReLU):
            module.inplace = False
    return features.requires_grad_(False)


@pytest.fixture(scope="module")
def weights(torchvision_features: nn.Sequential, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state dict as of the whole network, with a small stand-in for its classifier."""
    path = tmp_path_factory.mktemp("vgg19") / "vgg19.pth"
    state = {f"features.{key}": value for key, value in torchvision_features.state_dict().items()}
    torch.save({**state, "classifier.0.weight": torch.zeros(1)}, path)
    return path


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Path]:
    """An empty torch.hub folder; gives its checkpoints' place."""
    before = torch.hub.get_dir()
    torch.hub.set_dir(str(tmp_path))
    yield tmp_path / "checkpoints"
    torch.hub.set_dir(before)


def images(count: int = 2, size: tuple[int, int] = (33, 40), channels: int = 3) -> list[Tensor]:
    generator = torch.Generator().manual_seed(3)
    clean = torch.rand(count, channels, *size, generator=generator)
    degraded = (clean + 0.4 * torch.rand(clean.shape, generator=generator)).clamp(0, 1)
    return [0.5 * clean + 0.5 * degraded, clean, degraded]


def test_layout_is_torchvisions() -> None:
    layers = vgg19_convolutions()
    assert len(layers) == 13
    assert [layer.index + 1 for layer in layers if layer.opens_block] == [1, 6, 11, 20, 29]
    assert [n + 1 for n, layer in enumerate(layers) if layer.opens_block] == [1, 3, 5, 9, 13]


def test_value_is_equation_7_on_torchvisions_features(
    torchvision_features: nn.Sequential, weights: Path
) -> None:
    def features(image: Tensor) -> list[Tensor]:
        x, taken = (image - MEAN) / STD, []
        for index, module in enumerate(torchvision_features[:30]):
            x = module(x)
            if index in (1, 6, 11, 20, 29):
                taken.append(x)
        return taken

    output, clean, degraded = images()
    expected = 0.0
    for image in range(2):
        layers = (features(picture[image : image + 1]) for picture in (output, clean, degraded))
        for weight, restored, positive, negative in zip(PAPER_WEIGHTS, *layers, strict=True):
            near, far = (positive - restored).abs().mean(), (negative - restored).abs().mean()
            assert far > 1e-3
            expected += weight * (near / far).item() / 2
    value = ContrastivePrior(weights=str(weights))(output, clean, degraded)
    assert value.shape == ()
    assert value.item() == pytest.approx(expected, rel=1e-4)


def test_the_features_alone_are_accepted_too(
    torchvision_features: nn.Sequential, weights: Path, tmp_path: Path
) -> None:
    bare = tmp_path / "features.pth"
    torch.save(
        {k: v for k, v in torchvision_features.state_dict().items() if int(k.split(".")[0]) < 30},
        bare,
    )
    batch = images(size=(16, 16))
    whole, alone = (ContrastivePrior(weights=str(path))(*batch) for path in (weights, bare))
    assert torch.equal(whole, alone)


@pytest.fixture(scope="module")
def prior() -> ContrastivePrior:
    return ContrastivePrior(backbone="random")


def test_it_is_registered_and_holds_nothing_to_train_or_save(prior: ContrastivePrior) -> None:
    assert loss.factory("contrastive") is ContrastivePrior
    assert list(prior.parameters()) == []
    assert prior.state_dict() == {}


def test_only_the_output_carries_gradient(prior: ContrastivePrior) -> None:
    batch = [image.requires_grad_() for image in images()]
    prior(*batch).backward()
    output, clean, degraded = batch
    assert output.grad is not None
    assert torch.isfinite(output.grad).all()
    assert output.grad.abs().sum() > 0
    assert clean.grad is None
    assert degraded.grad is None


def test_a_clean_output_costs_nothing_and_changing_the_roles_inverts_the_ratios(
    prior: ContrastivePrior,
) -> None:
    output, clean, degraded = images()
    assert prior(clean, clean, degraded).item() == 0
    assert prior(output, clean, degraded) > 0
    # With positive and negative changed for one another each ratio r becomes 1 / r, and their mean
    # is 1 or more.
    both = prior(output, clean, degraded) + prior(output, degraded, clean)
    assert both / 2 >= sum(LAYER_WEIGHTS) - 1e-5


def test_an_output_like_the_degraded_image_is_finite_and_has_the_floors_value() -> None:
    _, clean, degraded = images()
    output = degraded.clone().requires_grad_()
    values = [
        ContrastivePrior("random", denominator_floor=f)(output, clean, degraded)
        for f in (1e-3, 1e-2)
    ]
    assert values[0].item() == pytest.approx(10 * values[1].item(), rel=1e-5)
    (gradient,) = torch.autograd.grad(values[0], output)
    assert torch.isfinite(gradient).all()


def test_the_value_is_the_mean_over_images(prior: ContrastivePrior) -> None:
    batch = images(count=3)
    single = [prior(*(image[n : n + 1] for image in batch)) for n in range(3)]
    torch.testing.assert_close(prior(*batch), torch.stack(single).mean())


def test_derivatives_in_float64() -> None:
    prior = ContrastivePrior("random").double()
    output, clean, degraded = (image.double() for image in images(count=1, size=(16, 17)))
    output.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: prior(x, clean, degraded), output, fast_mode=True)


def test_float32_under_autocast_and_for_16_bit_outputs(prior: ContrastivePrior) -> None:
    output, clean, degraded = images()
    coarse = output.bfloat16()
    expected = prior(coarse.float(), clean, degraded)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = prior(coarse, clean, degraded)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, expected)


def test_grey_images_are_repeated(prior: ContrastivePrior) -> None:
    batch = images(channels=1)
    value = prior(*batch)
    torch.testing.assert_close(value, prior(*(image.expand(-1, 3, -1, -1) for image in batch)))


def test_the_random_backbone_follows_its_seed_and_leaves_the_global_one() -> None:
    batch = images()
    torch.manual_seed(1)
    state = torch.get_rng_state()
    values = [ContrastivePrior("random", seed=seed)(*batch) for seed in (0, 0, 1)]
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(values[0], values[1])
    assert not torch.equal(values[0], values[2])


def test_random_features_keep_their_scale(prior: ContrastivePrior) -> None:
    for feature in prior.features(images()[1]):
        assert 0.05 < feature.abs().mean().item() < 5


def test_images_under_16_pixels_are_refused(prior: ContrastivePrior) -> None:
    with pytest.raises(NasRestoreError, match="got 15x40 pixels, it needs at least 16x16"):
        prior(*images(size=(15, 40)))


def test_shapes_that_would_broadcast_are_refused(prior: ContrastivePrior) -> None:
    output, clean, degraded = images()
    with pytest.raises(ValueError, match="one shape"):
        prior(output, clean, degraded[:1])


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(NasRestoreError, match="unknown backbone 'vgg9'") as caught:
        ContrastivePrior("vgg9")  # type: ignore[arg-type]
    assert caught.value.hint == "did you mean 'vgg19'?"
    with pytest.raises(NasRestoreError, match="reads no weights"):
        ContrastivePrior("random", weights="vgg19.pth")
    with pytest.raises(ValueError, match="denominator_floor"):
        ContrastivePrior("random", denominator_floor=0.0)


def refused(weights: Path | None) -> NasRestoreError:
    with pytest.raises(NasRestoreError) as caught:
        ContrastivePrior(weights=None if weights is None else str(weights))
    hint = str(caught.value.hint)
    assert "objectives.restoration.contrastive.weights=PATH" in hint
    assert "objectives.restoration.contrastive=0" in hint
    return caught.value


def test_a_missing_file_and_a_damaged_one_are_named(tmp_path: Path) -> None:
    missing, damaged = tmp_path / "none.pth", tmp_path / "damaged.pth"
    damaged.write_bytes(b"not a state dict")
    assert "there is no file" in str(refused(missing))
    assert str(damaged) in str(refused(damaged))


def test_wrong_keys_and_shapes_are_named(tmp_path: Path) -> None:
    state = {
        f"features.{layer.index}.{name}": torch.zeros(1).expand(shape)
        for layer in vgg19_convolutions()
        for name, shape in layer.shapes.items()
    }
    del state["features.16.bias"]
    state["features.28.weight"] = torch.zeros(512, 256, 3, 3)
    path = tmp_path / "other.pth"
    torch.save(state, path)
    message = str(refused(path))
    assert "features.16.bias: expected (256,), found nothing" in message
    assert "features.28.weight: expected (512, 512, 3, 3), found (512, 256, 3, 3)" in message
    torch.save([1, 2], path)
    assert "and 23 more" in str(refused(path))


def test_the_cached_file_is_used_without_the_network(
    hub: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.mkdir()
    (hub / VGG19_FILE).symlink_to(weights)
    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", None)
    batch = images(size=(16, 16))
    assert torch.equal(ContrastivePrior()(*batch), ContrastivePrior(weights=str(weights))(*batch))


@pytest.mark.parametrize(
    "failure",
    [URLError("no route to host"), OSError("disk full"), RuntimeError("invalid hash value")],
)
def test_a_failed_download_shows_both_ways_out(
    hub: Path, monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    waited = []

    def fail(url: str, **options: object) -> None:
        assert url.endswith(VGG19_FILE)
        assert options["check_hash"] is options["weights_only"] is True
        waited.append(socket.getdefaulttimeout())
        raise failure

    before = socket.getdefaulttimeout()
    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", fail)
    error = refused(None)
    assert "cannot download" in str(error)
    assert VGG19_FILE in str(error)
    assert waited[0] is not None
    assert socket.getdefaulttimeout() == before


def test_features_copy_what_they_are_given(torchvision_features: nn.Sequential) -> None:
    tensors = dict(torchvision_features.state_dict())
    features = Features(tensors)
    first = features.weight_0.clone()
    features.weight_0.zero_()
    assert torch.equal(tensors["0.weight"], first)
