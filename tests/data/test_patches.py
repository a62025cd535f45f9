from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import torch
from made_images import Writer

from nasrestore.data import image_sources, rain
from nasrestore.data.imageset import ImageSet
from nasrestore.data.pairs import Pair
from nasrestore.data.patches import Batch, PatchStream
from nasrestore.data.samples import clean_folder
from nasrestore.errors import NasRestoreError


@pytest.fixture
def pairs(put: Writer, tmp_path: Path) -> list[Pair]:
    """Six scenes of one size; the rainy image is another noise."""
    for number in range(6):
        put(f"clean/{number}.png", number, 20, 28)
        put(f"rainy/{number}.png", 10 + number, 20, 28)
    return [
        Pair(f"s/{n}", tmp_path / f"rainy/{n}.png", tmp_path / f"clean/{n}.png") for n in range(6)
    ]


@pytest.fixture
def images(pairs: list[Pair]) -> ImageSet:
    return ImageSet.from_pairs(pairs)


def same(one: Batch, other: Batch) -> bool:
    return (
        torch.equal(one.degraded, other.degraded)
        and torch.equal(one.clean, other.clean)
        and one.identities == other.identities
    )


def place_of(patch: torch.Tensor, images: ImageSet, index: int) -> tuple[int, int] | None:
    """Where in a clean image an unturned patch was cut."""
    clean = images.pair(index)[1].float() / 255
    size = patch.shape[-1]
    for top in range(clean.shape[1] - size + 1):
        for left in range(clean.shape[2] - size + 1):
            if torch.equal(clean[:, top : top + size, left : left + size], patch):
                return top, left
    return None


def test_batches_are_aligned_patches_of_the_named_scene(images: ImageSet) -> None:
    batch = next(PatchStream(images, patch=8, batch=4))
    assert batch.degraded.shape == batch.clean.shape == (4, 3, 8, 8)
    assert batch.degraded.dtype == torch.float32
    for degraded, clean, identity in zip(
        batch.degraded, batch.clean, batch.identities, strict=True
    ):
        index = images.identities.index(identity)
        place = place_of(clean, images, index)
        assert place is not None
        top, left = place
        whole = images.pair(index)[0].float() / 255
        assert torch.equal(degraded, whole[:, top : top + 8, left : left + 8])


@pytest.mark.parametrize("channels_last", [True, False])
def test_memory_format(images: ImageSet, channels_last: bool) -> None:
    batch = next(PatchStream(images, 8, 4, channels_last=channels_last))
    wanted = torch.channels_last if channels_last else torch.contiguous_format
    for tensor in (batch.degraded, batch.clean):
        assert tensor.is_contiguous(memory_format=wanted)


def test_an_epoch_sees_every_image_once_in_a_new_order(images: ImageSet) -> None:
    stream = PatchStream(images, patch=8, batch=3)
    assert len(stream) == 2
    epochs = [sum((next(stream).identities for _ in range(2)), ()) for _ in range(5)]
    assert all(sorted(epoch) == sorted(images.identities) for epoch in epochs)
    assert len(set(epochs)) > 1


def test_a_pool_is_cut_once_and_seen_without_replacement(images: ImageSet) -> None:
    stream = PatchStream(images, patch=8, batch=5, patches=10)
    epochs = [torch.cat([next(stream).clean for _ in range(len(stream))]) for _ in range(3)]
    pools = [Counter(patch.numpy().tobytes() for patch in epoch) for epoch in epochs]
    assert sum(pools[0].values()) == 10
    assert pools[0] == pools[1] == pools[2]
    firsts = [epoch[:5].numpy().tobytes() for epoch in epochs]
    assert len(set(firsts)) == 3  # never the same first batch


def test_batches_are_full_and_nothing_is_dropped(images: ImageSet) -> None:
    stream = PatchStream(images, patch=8, batch=4)
    assert len(stream) == 2
    seen = Counter(name for _ in range(3) for name in next(stream).identities)
    assert set(seen.values()) == {2}  # 12 patches are two epochs of six
    assert len(next(PatchStream(images, patch=8, batch=20)).identities) == 20


def test_large_images_come_more_often(put: Writer, tmp_path: Path) -> None:
    put("p/small.png", 0, 10, 10)
    put("p/medium.png", 1, 10, 11)
    put("p/large.png", 2, 40, 30)
    images = ImageSet.with_rain(clean_folder(tmp_path / "p"), rain.light)
    epoch = next(PatchStream(images, patch=8, batch=5)).identities
    assert len(PatchStream(images, patch=8, batch=1)) == 5
    assert Counter(epoch) == {"p/small": 1, "p/medium": 1, "p/large": 3}
    pool = PatchStream(images, patch=8, batch=400, patches=400)
    places = {"p/small": 9, "p/medium": 12, "p/large": 33 * 23}
    drawn = Counter(next(pool).identities)
    assert drawn["p/large"] > 400 * places["p/large"] / sum(places.values()) - 30


def test_fresh_places_every_time(images: ImageSet) -> None:
    one = images.select(["s/0"])
    stream = PatchStream(one, patch=8, batch=1)
    places = {place_of(next(stream).clean[0], one, 0) for _ in range(40)}
    assert None not in places
    assert len(places) > 25
    assert {top for top, _ in places} >= {0, 12}  # the borders are reached


@pytest.mark.parametrize("patches", [None, 7])
@pytest.mark.parametrize("augment", [False, True])
def test_a_resumed_stream_goes_on_bit_for_bit(
    images: ImageSet, tmp_path: Path, patches: int | None, augment: bool
) -> None:
    stream = PatchStream(images, 8, 4, patches=patches, augment=augment, seed=3)
    for _ in range(5):
        next(stream)
    torch.save(stream.state_dict(), tmp_path / "state.pt")
    wanted = [next(stream) for _ in range(6)]

    again = PatchStream(images, 8, 4, patches=patches, augment=augment, seed=3)
    torch.manual_seed(99)  # the global generator is nobody's business here
    again.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    assert all(same(one, next(again)) for one in wanted)


def test_seeds_and_augmentation_differ(images: ImageSet) -> None:
    plain = next(PatchStream(images, 8, 6))
    assert same(plain, next(PatchStream(images, 8, 6)))
    assert not same(plain, next(PatchStream(images, 8, 6, seed=1)))
    turned = next(PatchStream(images, 8, 6, augment=True))
    assert turned.identities == plain.identities
    assert not same(plain, turned)


def test_rainy_and_clean_are_turned_alike(pairs: list[Pair]) -> None:
    twins = [Pair(pair.identity, pair.clean, pair.clean) for pair in pairs]
    stream = PatchStream(ImageSet.from_pairs(twins), 8, 6, augment=True)
    for _ in range(5):
        batch = next(stream)
        assert torch.equal(batch.degraded, batch.clean)


def test_a_state_of_other_data_is_refused(images: ImageSet) -> None:
    state = PatchStream(images, 8, 2, patches=5).state_dict()
    for other in (
        PatchStream(images, 8, 2, patches=6),
        PatchStream(images, 8, 2, patches=5, seed=1),
        PatchStream(images.select(["s/1", "s/2"]), 8, 2, patches=5),
    ):
        with pytest.raises(NasRestoreError, match="the data changed since the checkpoint"):
            other.load_state_dict(state)


@pytest.mark.parametrize("patches", [None, 9])
@pytest.mark.parametrize("limit", [0, 4000, 8000])
def test_decoding_on_demand_gives_the_same_batches(
    pairs: list[Pair], images: ImageSet, patches: int | None, limit: int
) -> None:
    lazy = ImageSet.from_pairs(pairs, limit_bytes=limit)
    one = PatchStream(images, 8, 4, patches=patches, augment=True)
    other = PatchStream(lazy, 8, 4, patches=patches, augment=True)
    assert all(same(next(one), next(other)) for _ in range(5))


def test_a_pool_that_fits_is_cut_with_every_image_decoded_once(
    pairs: list[Pair], monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded = []
    load = image_sources.load_clean
    monkeypatch.setattr(
        image_sources, "load_clean", lambda pair: decoded.append(pair) or load(pair)
    )
    lazy = ImageSet.from_pairs(pairs, limit_bytes=15_000)
    stream = PatchStream(lazy, 8, 4, patches=30)
    for _ in range(12):
        next(stream)
    assert len(decoded) == len(set(decoded))


def test_too_large_a_patch_is_refused_at_once(images: ImageSet) -> None:
    with pytest.raises(NasRestoreError, match="s/0 is 28x20, smaller than the patch of 21x21"):
        PatchStream(images, patch=21, batch=2)
    next(PatchStream(images, patch=20, batch=2, patches=3))
    for settings in ({"patch": 0, "batch": 1}, {"patch": 8, "batch": 0}):
        with pytest.raises(ValueError, match="expected above 0"):
            PatchStream(images, **settings)
