"""LPIPS: its formula over features that are known, and torchvision's AlexNet over its layout."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from nasrestore.errors import NasRestoreError
from nasrestore.metrics.perceptual import ALEXNET, ALEXNET_FILE, PUBLISHED, Lpips, lpips

MEAN = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
STD = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)
AFTER_RELU = (1, 4, 7, 9, 11)


@pytest.fixture(scope="module")
def alexnet() -> nn.Sequential:
    """torchvision's features with random weights that keep the signal's scale."""
    from torchvision.models import alexnet

    torch.manual_seed(0)
    with torch.device("meta"):
        features: nn.Sequential = alexnet().features
    features.to_empty(device="cpu")
    for module in features:
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            nn.init.normal_(module.bias, std=0.1)
        if isinstance(module, nn.ReLU):
            module.inplace = False
    return features.requires_grad_(False)


@pytest.fixture(scope="module")
def backbone(alexnet: nn.Sequential, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("alexnet") / "alexnet.pth"
    torch.save({f"features.{k}": v for k, v in alexnet.state_dict().items()}, path)
    return path


@pytest.fixture(scope="module")
def heads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("heads") / "heads.pth"
    weights = {
        f"lin{i}.model.1.weight": torch.rand(1, c.outputs, 1, 1) for i, c in enumerate(ALEXNET)
    }
    torch.save(weights, path)
    return path


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Path]:
    """An empty torch.hub folder."""
    before = torch.hub.get_dir()
    torch.hub.set_dir(str(tmp_path))
    yield tmp_path
    torch.hub.set_dir(before)


def two_features(image: Tensor) -> list[Tensor]:
    """Stands in for the backbone: two channels that are (1, 0) or (3, 4) by the sign of red."""
    red = image[:, :1] > 0
    bright = torch.cat([torch.where(red, 3.0, 1.0), torch.where(red, 4.0, 0.0)], dim=1)
    return [bright, bright[..., ::2, ::2]]


def test_the_formula_on_features_that_are_known() -> None:
    measure = Lpips(two_features, [torch.tensor([1.0, 10.0]), torch.tensor([0.0, 100.0])])
    black, half = torch.zeros(1, 3, 32, 32), torch.zeros(1, 3, 32, 32)
    half[..., :16, :] = 1
    # (0.6, 0.8) against (1, 0) in one half: 0.16 + 10 * 0.64, and then 100 * 0.64
    expected = (0.16 + 6.4) / 2 + 64 / 2
    assert measure(black, half).item() == pytest.approx(expected)
    both = measure(torch.cat([black, half]), torch.cat([half, half]))
    assert both.tolist() == [pytest.approx(expected), 0]


def test_images_are_standardised_as_imagenet_is() -> None:
    seen = []

    def features(image: Tensor) -> list[Tensor]:
        seen.append(image)
        return [image]

    image = torch.rand(1, 3, 32, 32)
    Lpips(features, [torch.ones(3)])(image, image)
    torch.testing.assert_close(seen[0], (image - MEAN) / STD, rtol=0, atol=1e-3)


def test_it_is_the_formula_on_torchvisions_features(
    alexnet: nn.Sequential, backbone: Path, heads: Path
) -> None:
    def features(image: Tensor) -> list[Tensor]:
        shift, scale = torch.tensor([-0.030, -0.088, -0.188]), torch.tensor([0.458, 0.448, 0.450])
        x, taken = (2 * image - 1 - shift.view(1, 3, 1, 1)) / scale.view(1, 3, 1, 1), []
        for index, module in enumerate(alexnet[:12]):
            x = module(x)
            if index in AFTER_RELU:
                taken.append(x / x.norm(dim=1, keepdim=True).clamp(min=1e-10))
        return taken

    first, second = torch.rand(2, 2, 3, 64, 71)
    weights = list(torch.load(heads, weights_only=True).values())
    expected = torch.zeros(2)
    for weight, a, b in zip(weights, features(first), features(second), strict=True):
        expected += (weight * (a - b) ** 2).sum(1).mean((1, 2))
    measure = lpips(str(heads), str(backbone))
    torch.testing.assert_close(measure(first, second), expected)
    assert (measure(first, first) == 0).all()
    torch.testing.assert_close(measure(first, second), measure(second, first))
    grey = first[:, :1]
    spread = grey.expand(-1, 3, -1, -1)
    assert torch.equal(
        measure(grey, second[:, :1]), measure(spread, second[:, :1].expand_as(spread))
    )
    described = [measure.described(image) for image in (first, second)]
    assert torch.equal(measure.between(*described), measure(first, second))
    assert not list(measure.parameters()) and not measure.state_dict()


def test_whose_weights_they_are_is_the_beginning_of_their_hashes(
    backbone: Path, heads: Path, hub: Path
) -> None:
    expected = {
        name: hashlib.sha256(path.read_bytes()).hexdigest()[:8]
        for name, path in (("alexnet", backbone), ("heads", heads))
    }
    assert lpips(str(heads), str(backbone)).digests == expected
    (hub / "checkpoints").mkdir()
    shutil.copy(backbone, hub / "checkpoints" / ALEXNET_FILE)
    assert lpips(str(heads)).digests == expected
    assert ALEXNET_FILE.endswith(f"-{PUBLISHED['alexnet']}.pth")


def test_the_smallest_image_and_one_that_is_smaller(backbone: Path, heads: Path) -> None:
    measure = lpips(str(heads), str(backbone))
    assert measure(torch.rand(1, 3, 31, 31), torch.rand(1, 3, 31, 31)).isfinite().all()
    with pytest.raises(NasRestoreError, match=r"LPIPS .* got 30x40 pixels .* at least 31x31"):
        measure(torch.rand(1, 3, 30, 40), torch.rand(1, 3, 30, 40))


def test_weights_that_cannot_be_had_are_named(
    backbone: Path, heads: Path, hub: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(url: str, **options: object) -> None:
        assert url.endswith(ALEXNET_FILE)
        raise OSError("no route to host")

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", fail)
    with pytest.raises(NasRestoreError, match="the LPIPS weights have no path") as error:
        lpips(None, str(backbone))
    assert "weights/v0.1/alex.pth (in a recipe evaluate.lpips.heads=FILE" in str(error.value.hint)
    with pytest.raises(NasRestoreError, match="cannot download the AlexNet weights") as error:
        lpips(str(heads))
    assert ALEXNET_FILE in str(error.value.hint) and "--no-lpips" in str(error.value.hint)
    with pytest.raises(NasRestoreError, match=r"lin0\.model\.1\.weight: .* and 2 more"):
        lpips(str(backbone), str(backbone))
    with pytest.raises(NasRestoreError, match=r"features\.0\.weight: .* and 7 more"):
        lpips(str(heads), str(heads))


@pytest.mark.shared
def test_the_published_heads_on_the_published_images(shared_data: Path, backbone: Path) -> None:
    from PIL import Image

    folder = shared_data / "metrics"
    measure = lpips(str(folder / "lpips_v0.1_alex.pth"), str(backbone))
    assert measure.digests["heads"] == PUBLISHED["heads"]
    for index in range(len(ALEXNET)):
        assert (getattr(measure, f"head_{index}") >= 0).all()
    images = {}
    for name in ("ref", "p0", "p1"):
        pixels = np.asarray(Image.open(folder / f"lpips_ex_{name}.png").convert("RGB"))
        images[name] = torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None] / 255
    distances = [measure(images["ref"], images[name]).item() for name in ("p0", "p1", "ref")]
    assert distances[0] > 0 and distances[1] > 0 and distances[2] == 0
