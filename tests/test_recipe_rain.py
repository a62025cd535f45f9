"""The rain that a recipe asks for: within its ranges, of its model, and the preset's where it is silent."""

from __future__ import annotations

import hashlib
import math
from dataclasses import fields
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
import torch
from made_clip_runs import prepared, put_pairs
from measured_rain import dominant_angle

from nasrestore.assemble.data import Splits, open_splits
from nasrestore.assemble.prepare import prepare
from nasrestore.assemble.rain import rain_of
from nasrestore.cli.schema import schema
from nasrestore.data.auxiliary_rain import AuxiliaryRain, add_auxiliary_rain
from nasrestore.data.clipset import ClipSet
from nasrestore.data.images import write_image
from nasrestore.data.imageset import ImageSet
from nasrestore.data.rain import PRESETS, add_rain, rain_layer
from nasrestore.data.rain_clip import RainClip
from nasrestore.spec.load import overrides_of
from nasrestore.spec.overrides import python_overrides
from nasrestore.spec.rain import QUANTITIES

SIDE = 160
PRESET_MEANS = {"light": 0.01662, "medium": 0.06156, "heavy": 0.13959, "mixed": 0.06337}


@pytest.fixture
def black(tmp_path: Path) -> Path:
    """Photographs without light: what is seen of them in rain is the rain."""
    for name in "abcdef":
        shade = np.full((SIDE, SIDE, 3), ord(name) - ord("a"), np.uint8)
        write_image(tmp_path / "black" / f"{name}.png", shade)
    return tmp_path / "black"


def photographs(root: Path, *sets: str, **rain: object) -> Splits:
    values = {"data.root": str(root), "data.layout": "photographs", "data.rain": rain}
    found = prepare("rdmc-quick", [*python_overrides(values), *overrides_of(sets)])
    return open_splits(found.recipe, torch.device("cpu"), graph=found.graph)


def layers(found: Splits) -> list[np.ndarray]:
    """What rain adds to each image, ``H W`` in [0, 1]."""
    images = found.all
    assert isinstance(images, ImageSet)
    pairs = (images.pair(number) for number in range(len(images)))
    return [((rainy.int() - clean.int())[0].numpy() / 255) for rainy, clean in pairs]


@pytest.mark.parametrize("span", [(-30, -10), (20, 35), (-5, 5), 15])
def test_streaks_lie_within_the_range_of_directions(black: Path, span: Any) -> None:
    low, high = span if isinstance(span, tuple) else (span, span)
    found = photographs(black, direction=span, preset="light", variants=3, density=0.1, length=30)
    angles = [dominant_angle(layer) for layer in layers(found)]
    assert len(angles) >= 9
    assert low - 4 < min(angles) and max(angles) < high + 4
    assert np.ptp(angles) > 0.25 * (high - low)


@pytest.mark.parametrize("span", [(0.05, 0.1), (0.3, 0.5), 1.0])
def test_rain_is_as_dense_as_the_range_says(black: Path, span: Any) -> None:
    low, high = span if isinstance(span, tuple) else (span, span)
    shape = {"intensity": 1, "width": 2, "length": 20, "direction": 0, "blur": 0}
    found = photographs(black, density=span, preset="light", variants=3, **shape)
    shares = [float((layer > 0.3).mean()) for layer in layers(found)]
    assert 0.7 * (1 - math.exp(-low)) < min(shares)
    assert max(shares) < 1.4 * (1 - math.exp(-high))  # 142 streaks and more, at random


def test_a_clip_falls_in_the_direction_asked_for(black: Path) -> None:
    rain = {"preset": "light", "direction": [25, 30], "density": 0.1, "variants": 2}
    clip = {"length": 3, "height": 128, "width": 128}
    values = {"data.root": str(black), "data.layout": "photographs"}
    found = prepared(**{**values, "data.rain": rain, "data.clip": clip})
    clips = open_splits(found.recipe, torch.device("cpu"), graph=found.graph).all
    assert isinstance(clips, ClipSet)
    for number in range(len(clips)):
        rainy, clean = clips.clip(number)
        angle = dominant_angle(((rainy.int() - clean.int())[1, 0]).numpy())
        assert 21 < angle < 34


@pytest.mark.parametrize("name", QUANTITIES)
@pytest.mark.parametrize("as_range", [False, True])
def test_every_quantity_is_what_was_asked_and_the_rest_the_presets(
    name: str, as_range: bool
) -> None:
    quantity = QUANTITIES[name]
    low = quantity.least + (quantity.most - quantity.least) * 0.1
    value: Any = [low, quantity.most] if as_range else low
    rain = rain_of(
        prepare("rdmc-quick", python_overrides({f"data.rain.{name}": value})).recipe.data
    )
    for field in fields(rain.model):
        found = getattr(rain.model, field.name)
        if field.name == quantity.field:
            assert found == (tuple(value) if as_range else (low, low))
        else:
            assert found == getattr(PRESETS[rain.preset], field.name)


def test_a_recipe_without_them_has_the_rain_it_had(black: Path) -> None:
    """Pixel by pixel, from the seed that is made of recipe, name and variant."""
    found = photographs(black, preset="heavy", variants=2)
    images = found.all
    assert isinstance(images, ImageSet) and found.name == "photographs (black), heavy rain"
    seed = found._recipe.seed
    for number, identity in enumerate(images.identities):
        words = np.frombuffer(hashlib.sha256(identity.encode()).digest(), "<u4").tolist()
        rainy, clean = (planes.numpy().transpose(1, 2, 0) for planes in images.pair(number))
        generator = np.random.default_rng([seed, number % 2, *words])
        expected = add_rain(clean / np.float32(255), PRESETS["heavy"], generator)
        np.testing.assert_array_equal(rainy, np.rint(expected * 255).astype(np.uint8))


def test_clean_clips_without_them_have_the_rain_they_had(tmp_path: Path) -> None:
    root = put_pairs(tmp_path / "set", 4)
    values = {"data.root": str(root / "norain"), "data.layout": "clean_clips"}
    found = prepared(**values)
    clips = open_splits(found.recipe, torch.device("cpu"), graph=found.graph).all
    assert isinstance(clips, ClipSet)
    for number, identity in enumerate(clips.identities):
        words = np.frombuffer(hashlib.sha256(identity.encode()).digest(), "<u4").tolist()
        rain = RainClip(24, 24, PRESETS["medium"], [found.recipe.seed, *words, 2, number % 2])
        rainy, clean = (part.numpy().transpose(0, 2, 3, 1) for part in clips.clip(number))
        for time in range(len(clean)):
            expected = rain.over(clean[time] / np.float32(255), time)
            np.testing.assert_array_equal(rainy[time], np.rint(expected * 255).astype(np.uint8))


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_what_they_were(name: str) -> None:
    """The golden is the mean of this very layer, from before a recipe could change a preset."""
    layer = rain_layer(64, 64, PRESETS[name], np.random.default_rng(0))
    assert layer.mean() == pytest.approx(PRESET_MEANS[name], abs=1e-5)


def test_the_auxiliary_model_is_equation_1(black: Path) -> None:
    found = photographs(black, preset="light", model="auxiliary", variants=1)
    images = found.all
    assert isinstance(images, ImageSet)
    identity = images.identities[0]
    words = np.frombuffer(hashlib.sha256(identity.encode()).digest(), "<u4").tolist()
    rainy, clean = (planes.numpy().transpose(1, 2, 0) for planes in images.pair(0))
    generator = np.random.default_rng([found._recipe.seed, 0, *words])
    unit = clean / np.float32(255)
    expected = add_auxiliary_rain(unit, PRESETS["light"], AuxiliaryRain(), generator)
    np.testing.assert_array_equal(rainy, np.rint(expected * 255).astype(np.uint8))
    assert found.name == "photographs (black), light rain (auxiliary)"


def test_clips_may_have_auxiliary_rain(tmp_path: Path) -> None:
    root = put_pairs(tmp_path / "set", 4)
    values = {"data.root": str(root / "norain"), "data.layout": "clean_clips"}
    rain = {"preset": "light", "model": "auxiliary", "variants": 1}
    found = prepared(**values, **{"data.rain": rain})
    clips = open_splits(found.recipe, torch.device("cpu"), graph=found.graph).all
    assert isinstance(clips, ClipSet)
    words = np.frombuffer(hashlib.sha256(clips.identities[0].encode()).digest(), "<u4").tolist()
    seeds = [found.recipe.seed, *words, 2, 0]
    rained = RainClip(24, 24, PRESETS["light"], seeds, auxiliary=AuxiliaryRain())
    rainy, clean = (part.numpy().transpose(0, 2, 3, 1) for part in clips.clip(0))
    expected = rained.over(clean[2] / np.float32(255), 2)
    np.testing.assert_array_equal(rainy[2], np.rint(expected * 255).astype(np.uint8))


def test_overrides_say_it_names_say_it_and_the_digest_tells_it(black: Path) -> None:
    plain, same = photographs(black, preset="light"), photographs(black, preset="light")
    sets = ("data.rain.density=0.1", "data.rain.direction=[-10,10]")
    other = photographs(black, *sets, preset="light")
    for found in (plain, same, other):
        found.check_disjoint()
    assert plain.digest == same.digest != other.digest
    assert other.name == "photographs (black), light rain (density 0.1, direction -10 to 10)"
    assert other.notes[0].endswith("light synthetic rain (density 0.1, direction -10 to 10)")
    assert plain.members == other.members


def test_rain_that_falls_on_nothing_is_said(tmp_path: Path) -> None:
    root = put_pairs(tmp_path / "set", 4)
    found = prepared(**{"data.root": str(root), "data.rain.blur": 0.5})
    notes = open_splits(found.recipe, torch.device("cpu"), graph=found.graph).notes
    assert "data.rain (blur 0.5) has no effect: all images are pairs" in notes
    found = prepared(**{"data.root": str(root)})
    notes = open_splits(found.recipe, torch.device("cpu"), graph=found.graph).notes
    assert not any("data.rain" in note for note in notes)


@pytest.mark.parametrize(
    ("rain", "valid"),
    [
        ({"direction": [-10, 10], "density": 0.1, "model": "auxiliary"}, True),
        ({"width": None}, True),
        ({"width": [1]}, False),
        ({"width": [1, 2, 3]}, False),
        ({"density": 11}, False),
        ({"accumulation": "0.1:0.2"}, False),
        ({"angle": 3}, False),
    ],
)
def test_the_schema_agrees(rain: dict[str, object], valid: bool) -> None:
    whole = schema("recipe")
    part = {**whole["$defs"]["RainSpec"], "$defs": whole["$defs"]}
    assert jsonschema.Draft202012Validator(part).is_valid(rain) == valid


def test_the_runs_recipe_holds_it(tmp_path: Path) -> None:
    from nasrestore.api.run import write_recipe
    from nasrestore.runtime.runfolder import create_run

    sets = ("data.rain.density=0.1", "data.rain.direction=[-10,10]")
    folder = create_run(tmp_path / "run", "rdmc-quick", resume=False, overwrite=False)
    write_recipe(folder, prepare("rdmc-quick", overrides_of(sets)), {})
    again = prepare(folder.path / "recipe.yaml").recipe
    assert again.data.rain is not None
    assert (again.data.rain.density, again.data.rain.direction) == (0.1, (-10.0, 10.0))
