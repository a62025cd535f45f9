"""One scene in two splits: what is found, and what is not taken for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from made_scenes import cut, jpeg, made_scene, scaled

from nasrestore.data import leaks
from nasrestore.data.images import read_image
from nasrestore.data.leaks import Fingerprint, Leak, Match, find_leaks, groups, same_scenes
from nasrestore.data.sketch import sketch
from nasrestore.data.split import content_hash

SCENES = 20
COPIES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "JPEG of quality 50": jpeg,
    "half the size": lambda p: scaled(p, 0.5),
    "mirrored": lambda p: p[:, ::-1],
    "quarter turn": lambda p: np.rot90(p),
    "quarter turn, mirrored": lambda p: np.rot90(p)[:, ::-1],
    "shifted by a few pixels": lambda p: p[4:, 3:],
    "60% of the area": lambda p: cut(p, 0.1, 0.2, 0.775),
    "60% of the area, JPEG, half the size": lambda p: scaled(jpeg(cut(p, 0.2, 0.05, 0.775)), 0.5),
    "60% of the area, mirrored": lambda p: cut(p, 0, 0.225, 0.775)[:, ::-1],
    "a third of the area": lambda p: cut(p, 0.3, 0.1, 0.58),
    "darker": lambda p: (p * 0.7 + 20).astype(np.uint8),
}


def print_of(name: str, pixels: np.ndarray) -> Fingerprint:
    pixels = np.ascontiguousarray(pixels)
    return Fingerprint(name, (content_hash(pixels),), sketch(pixels))


@pytest.fixture(scope="module")
def scenes() -> list[np.ndarray]:
    return [made_scene(seed) for seed in range(SCENES)]


@pytest.mark.parametrize("how", COPIES)
def test_copies_are_found_and_nothing_else(scenes: list[np.ndarray], how: str) -> None:
    originals = [print_of(f"a/{n}", pixels) for n, pixels in enumerate(scenes)]
    copies = [print_of(f"b/{n}", COPIES[how](pixels)) for n, pixels in enumerate(scenes)]
    found = same_scenes([*originals, *copies])
    assert [(match.first, match.second) for match in found] == [
        (number, SCENES + number) for number in range(SCENES)
    ]
    assert all(match.how == "near-duplicate" and match.correlation > leaks.SAME for match in found)


def test_different_scenes_are_told_apart() -> None:
    generator = np.random.default_rng(0)
    sky = np.linspace(230, 90, 96)[:, None, None]
    others = [made_scene(1000 + seed, 96, 128) for seed in range(200)]
    others += [np.full((96, 128, 3), grey, np.uint8) for grey in (0, 128, 128, 255)]
    others += [  # two skies, with clouds and grain of their own
        (sky + 0.1 * made_scene(seed, 96, 128) + generator.normal(0, 2, (96, 128, 3)))
        .clip(0, 255)
        .astype(np.uint8)
        for seed in (7, 8)
    ]
    others += [generator.integers(0, 256, (96, 128, 3), dtype=np.uint8) for _ in range(20)]
    assert leaks.near_duplicates(np.stack([sketch(pixels) for pixels in others])) == {}


def test_names_and_contents_come_before_looks(scenes: list[np.ndarray]) -> None:
    one, other = scenes[:2]
    given = [print_of("a", one), print_of("b", other), print_of("a", other), print_of("c", one)]
    assert same_scenes(given) == [
        Match(0, 2, "identity", 1.0),
        Match(0, 3, "content", 1.0),
        Match(1, 2, "content", 1.0),
    ]
    versions = Fingerprint("v", ("x", given[1].contents[0]), given[0].sketch)  # two versions of one
    assert [match.how for match in same_scenes([given[1], versions])] == ["content"]


def test_without_sketches_names_and_contents_alone_count() -> None:
    given = [Fingerprint(name, (content,), None) for name, content in ("ax", "by", "cx", "ay")]
    assert [tuple(match[:3]) for match in same_scenes(given)] == [
        (0, 2, "content"), (0, 3, "identity"), (1, 3, "content"),
    ]  # fmt: skip
    assert same_scenes([]) == []


def test_beyond_the_limits_less_is_looked_for(
    scenes: list[np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = (scenes[0], jpeg(scenes[0]), scenes[1], cut(scenes[1], 0.2, 0.2, 0.6))
    sketches = np.stack([sketch(pixels) for pixels in shown])
    assert set(leaks.near_duplicates(sketches)) == {(0, 1), (2, 3)}
    monkeypatch.setattr(leaks, "MOST_CUT", 3)
    assert set(leaks.near_duplicates(sketches)) == {(0, 1)}
    monkeypatch.setattr(leaks, "MOST_WHOLE", 3)
    assert leaks.near_duplicates(sketches) == {}


def test_blocks_change_nothing(scenes: list[np.ndarray], monkeypatch: pytest.MonkeyPatch) -> None:
    shown = [*scenes, *map(jpeg, scenes[:3]), cut(scenes[4], 0.1, 0.1, 0.7)]
    sketches = np.stack([sketch(pixels) for pixels in shown])
    found = leaks.near_duplicates(sketches)
    assert set(found) == {(0, 20), (1, 21), (2, 22), (4, 23)}
    monkeypatch.setattr(leaks, "_BLOCK", 1)
    assert leaks.near_duplicates(sketches) == pytest.approx(found, abs=1e-3)


def test_leaks_are_matches_across_splits() -> None:
    given = [Fingerprint(name, (name,), None) for name in "abcd"]
    matches = [
        Match(0, 1, "near-duplicate", 0.9), Match(0, 2, "content", 1.0), Match(0, 3, "content", 1.0)
    ]  # fmt: skip
    found = find_leaks(given, ["train", "train", "test", None], matches)
    assert found == [Leak("train", "a", "test", "c", "content")]
    assert find_leaks(given, ["train", "test", "train", None], matches) == [
        Leak("train", "a", "test", "b", "near-duplicate", 0.9)
    ]


def test_groups_are_what_matches_link() -> None:
    pairs = [(4, 5), (0, 3), (6, 7), (3, 5), (1, 8)]
    assert groups([Match(*pair, "content", 1.0) for pair in pairs]) == [
        [0, 3, 4, 5], [1, 8], [6, 7]
    ]  # fmt: skip
    assert groups([]) == []


def test_leaks_in_words() -> None:
    found = [
        Leak("train", "a", "test", "a", "identity"),
        Leak("train", "b", "test", "c", "content"),
        Leak("train", "d", "test", "e", "near-duplicate", 0.987),
        Leak("train", "f", "test", "f", "identity"),
    ]
    assert leaks.named(found) == (
        "a is in train and in test; b in train has the same pixels as c in test; "
        "d in train shows the scene of e in test (correlation 0.99); and 1 more"
    )


# -- real images ------------------------------------------------------------------------------


def shown_in(folder: Path, *, left_half: bool = False) -> list[Fingerprint]:
    found = []
    for path in sorted(folder.iterdir()):
        pixels = read_image(path).pixels
        half = pixels[:, : pixels.shape[1] // 2] if left_half else pixels
        found.append(print_of(f"{folder.name}/{path.stem}", half))
    return found


def names(scenes: list[Fingerprint]) -> set[tuple[str, str]]:
    return {
        (scenes[match.first].identity, scenes[match.second].identity)
        for match in same_scenes(scenes)
    }


@pytest.mark.shared
def test_known_leaks_of_real_sets(shared_data: Path) -> None:
    """Pairs of Rain100's own test images; one of Rain800's; and two of the usual clean sets in BSDS500."""
    rain100 = shown_in(shared_data / "rain100" / "clean")
    own = {("clean/12", "clean/91"), ("clean/36", "clean/7"), ("clean/47", "clean/8")}
    assert names(rain100) == own
    rain800 = shown_in(shared_data / "rain800" / "test", left_half=True)
    across = {pair for pair in names([*rain100, *rain800]) if pair[0][:4] != pair[1][:4]}
    assert across == {("clean/16", "test/90")}


@pytest.mark.shared
def test_real_photographs_are_told_apart(shared_data: Path) -> None:
    """330 photographs, and two crops in Set5 and Set12 of what is among them."""
    photos = shown_in(shared_data / "photos")
    usual = [*shown_in(shared_data / "set5"), *shown_in(shared_data / "set12")]
    rain100 = shown_in(shared_data / "rain100" / "clean")
    found = names([*photos, *usual, *rain100])
    assert {pair for pair in found if not pair[0].startswith("clean/")} == {
        ("photos/302003", "set5/woman"), ("photos/12003", "set12/04")
    }  # fmt: skip
