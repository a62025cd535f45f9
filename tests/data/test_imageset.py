from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from made_images import Writer, random_pixels

from nasrestore.data import rain
from nasrestore.data.image_sources import PairSource
from nasrestore.data.images import write_image
from nasrestore.data.imageset import ImageSet
from nasrestore.data.layouts import open_pairs
from nasrestore.data.pairs import Pair
from nasrestore.data.samples import clean_folder
from nasrestore.data.sketch import sketch
from nasrestore.data.split import content_hash
from nasrestore.data.whole import full_pairs
from nasrestore.errors import NasRestoreError


@pytest.fixture
def pairs(put: Writer, tmp_path: Path) -> list[Pair]:
    """Two rainy versions of scene 1, one of scene 2, of different sizes."""
    put("clean/1.png", 1, 20, 30)
    put("clean/2.png", 2, 24, 18)
    put("rainy/1_1.png", 3, 20, 30)
    put("rainy/1_2.png", 4, 20, 30)
    put("rainy/2_1.png", 5, 24, 18)
    return [
        Pair(f"s/{name[0]}", tmp_path / f"rainy/{name}.png", tmp_path / f"clean/{name[0]}.png")
        for name in ("1_1", "1_2", "2_1")
    ]


def test_pixels_are_those_of_the_files(pairs: list[Pair]) -> None:
    images = ImageSet.from_pairs(pairs)
    assert (len(images), images.in_memory) == (3, True)
    assert images.identities == ["s/1", "s/1", "s/2"]
    assert images.sizes == [(20, 30), (20, 30), (24, 18)]
    found = list(full_pairs(images))
    for (_, rainy, clean), seed, scene in zip(found, (3, 4, 5), (1, 1, 2), strict=True):
        size = clean.shape[:2]
        np.testing.assert_array_equal(rainy, random_pixels(seed, *size))
        np.testing.assert_array_equal(clean, random_pixels(scene, *size))


def test_a_shared_clean_image_is_held_once(pairs: list[Pair]) -> None:
    images = ImageSet.from_pairs(pairs)
    assert images.bytes == 3 * (3 * 600 + 2 * 432)
    assert images.pair(0)[1].data_ptr() == images.pair(1)[1].data_ptr()


def test_fingerprints_are_of_scenes_and_made_once(
    pairs: list[Pair], monkeypatch: pytest.MonkeyPatch
) -> None:
    images = ImageSet.from_pairs(pairs, limit_bytes=0)  # so that what is kept is not the pixels
    found = images.fingerprints()
    assert [scene.identity for scene in found] == ["s/1", "s/2"]
    for scene, seed, size in zip(found, (1, 2), ((20, 30), (24, 18)), strict=True):
        pixels = random_pixels(seed, *size)
        assert scene.contents == (content_hash(pixels),)
        np.testing.assert_array_equal(scene.sketch, sketch(pixels))
    monkeypatch.setattr(PairSource, "clean", None)  # would have to be called
    assert images.fingerprints() == found
    assert images.select(["s/2"]).fingerprints() == found[1:]
    assert [scene.sketch for scene in images.fingerprints(sketched=False)] == [None, None]


@pytest.mark.parametrize("limit", [0, 2000, 5000])
def test_decoding_on_demand_gives_the_same(pairs: list[Pair], limit: int) -> None:
    whole, lazy = ImageSet.from_pairs(pairs), ImageSet.from_pairs(pairs, limit_bytes=limit)
    assert not lazy.in_memory
    assert lazy.bytes == whole.bytes
    for index in (0, 2, 1, 0, 0, 2):
        for one, other in zip(whole.pair(index), lazy.pair(index), strict=True):
            assert torch.equal(one, other)
        kept = lazy._decoded
        assert kept.used == sum(tensor.numel() for tensor in kept._kept.values())
        assert kept.used <= max(limit, 3 * 600)
    assert lazy.fingerprints() == whole.fingerprints()


def test_select_shares_what_is_decoded(pairs: list[Pair]) -> None:
    images = ImageSet.from_pairs(pairs)
    part = images.select(["s/2"])
    assert (len(part), len(images)) == (1, 3)
    assert part.pair(0)[0].data_ptr() == images.pair(2)[0].data_ptr()
    with pytest.raises(NasRestoreError, match="none of the 1 chosen images"):
        images.select(["s/3"])


def test_rain_depends_on_scene_variant_and_seed_alone(put: Writer, tmp_path: Path) -> None:
    for number in range(3):
        put(f"photos/{number}.png", number, 32, 40)
    photographs = clean_folder(tmp_path / "photos")
    images = ImageSet.with_rain(photographs, rain.medium, variants=2, seed=4)
    assert images.identities == [f"photos/{n}" for n in (0, 0, 1, 1, 2, 2)]
    alone = ImageSet.with_rain(photographs[1:2], rain.medium, variants=2, seed=4, limit_bytes=0)
    for variant in (1, 0):
        assert torch.equal(images.pair(2 + variant)[0], alone.pair(variant)[0])
    assert torch.equal(alone.pair(0)[1], alone.pair(1)[1])
    assert not torch.equal(alone.pair(0)[0], alone.pair(1)[0])
    other = ImageSet.with_rain(photographs[1:2], rain.medium, variants=1, seed=5)
    assert not torch.equal(alone.pair(0)[0], other.pair(0)[0])


def test_channels_and_depths_are_made_equal(tmp_path: Path) -> None:
    deep, grey = random_pixels(0, 8, 8, 3, np.uint16), random_pixels(1, 8, 8, 1)
    write_image(tmp_path / "deep.png", deep)
    write_image(tmp_path / "grey.png", grey)
    pair = Pair("x", tmp_path / "grey.png", tmp_path / "deep.png")
    ((_, rainy, clean),) = full_pairs(ImageSet.from_pairs([pair]))
    np.testing.assert_array_equal(rainy, np.repeat(grey, 3, axis=2))
    np.testing.assert_array_equal(clean, np.rint(deep / 257).astype(np.uint8))
    ((_, rainy, clean),) = full_pairs(ImageSet.from_pairs([pair], channels=1))
    np.testing.assert_array_equal(rainy, grey)
    assert clean.shape == (8, 8, 1)


def test_all_bad_files_are_named_at_once(put: Writer, tmp_path: Path) -> None:
    for number in range(9):
        put(f"{number}.png", number, 40, 40)
    for number in range(2, 9):
        data = (tmp_path / f"{number}.png").read_bytes()
        (tmp_path / f"{number}.png").write_bytes(data[:-500])
    with pytest.raises(NasRestoreError) as caught:
        ImageSet.with_rain(clean_folder(tmp_path), rain.light)
    message = str(caught.value)
    assert message.startswith("7 images cannot be used")
    assert "2.png: truncated" in message
    assert "and 2 more" in message
    lazy = ImageSet.with_rain(clean_folder(tmp_path), rain.light, limit_bytes=0)
    with pytest.raises(NasRestoreError, match=r"5\.png: truncated"):
        lazy.pair(5)


def test_sets_that_cannot_be(put: Writer, tmp_path: Path) -> None:
    with pytest.raises(NasRestoreError, match="no image in the data"):
        ImageSet.from_pairs([])
    put("a.png")
    put("b.png", height=13)
    with pytest.raises(NasRestoreError, match="has no rainy image"):
        ImageSet.from_pairs([Pair("a", None, tmp_path / "a.png")])
    with pytest.raises(NasRestoreError, match=r"a\.png is 16x12, its clean image .*b\.png 16x13"):
        ImageSet.from_pairs([Pair("a", tmp_path / "a.png", tmp_path / "b.png")])


def test_progress_is_told(pairs: list[Pair]) -> None:
    calls: list[tuple[int, int]] = []
    ImageSet.from_pairs(pairs, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.shared
def test_real_pairs(real_data: Path) -> None:
    images = ImageSet.from_pairs(
        open_pairs(rainy=real_data / "rain100/heavy", clean=real_data / "rain100/clean")
    )
    assert {tuple(sorted(size)) for size in images.sizes} <= {(320, 480), (321, 481)}
    errors = [np.mean((rainy.astype(float) - clean) ** 2) for _, rainy, clean in full_pairs(images)]
    assert np.mean(10 * np.log10(255**2 / np.array(errors))) == pytest.approx(13.03, abs=0.01)


def test_recoloured_variants_are_other_scenes_under_one_identity(
    put: Writer, tmp_path: Path
) -> None:
    put("photos/0.png", 0, 32, 40)
    photographs = clean_folder(tmp_path / "photos")
    images = ImageSet.with_rain(photographs[:1], rain.light, variants=3, recolour=True, seed=4)
    plain = ImageSet.with_rain(photographs[:1], rain.light, variants=3, seed=4)
    assert len(set(images.identities)) == 1
    cleans = [images.pair(index)[1] for index in range(3)]
    assert torch.equal(cleans[0], plain.pair(0)[1])  # the first variant is the photograph itself
    assert not torch.equal(cleans[0], cleans[1]) and not torch.equal(cleans[1], cleans[2])
    (scene,) = images.fingerprints()
    assert len(set(scene.contents)) == 3
