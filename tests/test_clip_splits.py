"""Clips from a recipe: split by sequence, streamed with their flow, refused where they do not fit."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from made_clip_runs import CLIP_SPACE, prepared, put_pairs

from nasrestore.assemble import clips as assembled
from nasrestore.assemble.clips import optical_flow, reading
from nasrestore.assemble.data import Splits, open_splits
from nasrestore.assemble.prepare import prepare
from nasrestore.data.clipset import ClipSet
from nasrestore.data.images import write_image
from nasrestore.errors import NasRestoreError, SpecError
from nasrestore.spec.overrides import python_overrides


def splits(**values: object) -> Splits:
    found = prepared(**values)
    return open_splits(found.recipe, torch.device("cpu"), graph=found.graph)


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    return put_pairs(tmp_path / "set", 8)


def test_pairs_are_split_by_sequence(pairs: Path) -> None:
    found = splits(**{"data.root": str(pairs)})
    found.check_disjoint()
    names = [name for members in found.members.values() for name in members]
    assert sorted(names) == [f"set/norain/{n:02}" for n in range(8)]
    assert found.name == "clip_folders (set)" and found.digest
    stream = found.stream(found._recipe.search.levels[0], 3)
    seen = {name for _ in range(8) for name in next(stream).identities}
    assert seen <= set(found.members["train"])
    assert isinstance(found.test, ClipSet) and found.test.window == 3


def test_a_sequence_with_one_frame_of_another_goes_to_its_side(pairs: Path) -> None:
    dealt = splits(**{"data.root": str(pairs)}).members
    for here, there in (("train", "validation"), ("test", "train")):
        one, other = (pairs / dealt[split][0].removeprefix("set/") for split in (here, there))
        (other / "2.png").write_bytes((one / "3.png").read_bytes())
    found = splits(**{"data.root": str(pairs)})
    found.check_disjoint()
    side = {name: split for split, members in found.members.items() for name in members}
    assert side.get(dealt["train"][0]) == side.get(dealt["validation"][0]) != "test"
    assert side[dealt["test"][0]] == "test" and len(found.notes) > 2


def test_two_clips_of_one_scene_are_named_with_their_folder(tmp_path: Path) -> None:
    root, other = put_pairs(tmp_path / "set", 2), put_pairs(tmp_path / "test", 3)
    for kind in ("rain", "norain"):
        for frame in (root / kind / "00").iterdir():
            (root / kind / "01" / frame.name).write_bytes(frame.read_bytes())
    for frame in (other / "norain").rglob("*.png"):
        pixels = torch.randint(256, (24, 24, 3), dtype=torch.uint8).numpy()
        write_image(frame, pixels)
    found = splits(**{"data.root": str(root), "data.test_root": str(other)})
    with pytest.raises(NasRestoreError, match="its clips show the scenes of others") as error:
        found.check_disjoint()
    assert f"(set/norain/01, of {root})" in error.value.message
    assert "clips of more scenes" in str(error.value.hint)


def test_sample_photographs_move_under_rain() -> None:
    found = splits()
    assert "a camera moves over" in found.notes[0] and "no optical flow" in found.notes[1]
    batch = next(found.stream(found._recipe.search.levels[0], 3))
    assert batch.degraded.shape[1:] == (3, 3, 16, 16)
    assert batch.flow is not None and batch.flow.shape[1:] == (3, 2, 16, 16)
    assert not batch.flow.any()
    wide = splits(**{"data.patch": 200, "data.batch": 1, "data.clip": {"length": 3}})
    assert set(wide.test.sizes) == {(200, 256)}  # no smaller than the patch
    calibration = next(found.calibration("train", 1))
    assert calibration.degraded.shape[1:] == (3, 3, 32, 32)


def test_clips_beyond_the_memory_are_kept_on_disk_and_said(pairs: Path) -> None:
    plain, tight = (
        splits(**{"data.root": str(pairs), "data.memory": memory}) for memory in (1, 1e-9)
    )
    one, other = (s.stream(s._recipe.search.levels[0], 3) for s in (plain, tight))
    for _ in range(3):
        assert torch.equal(next(one).degraded, next(other).degraded)
    assert any("more than data.memory" in note for note in tight.notes)
    assert not any("data.memory" in note for note in plain.notes)


class FakeFlow:
    """Stands in for RAFT: the whole frame moves by the frame's distance to the centre."""

    note = None
    calls = 0

    def __init__(self, model: str, weights: str | None) -> None:
        self.model = model

    def too_small(self, height: int, width: int) -> bool:
        return False

    def of(self, clip: torch.Tensor) -> torch.Tensor:
        type(self).calls += 1
        count, frames, _, height, width = clip.shape
        steps = torch.arange(frames, dtype=torch.float32) - frames // 2
        return steps[None, :, None, None, None].expand(count, frames, 2, height, width)


def test_flow_is_computed_once_for_all_levels(pairs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assembled, "OpticalFlow", FakeFlow)
    FakeFlow.calls = 0
    found = splits(**{"data.root": str(pairs), "data.flow": {"model": "raft_small"}})
    for level in found._recipe.search.levels:
        batch = next(found.stream(level, 1))
        assert batch.flow is not None
        assert batch.flow.abs().amax((0, 2, 3, 4)).tolist() == [1.0, 0.0, 1.0]
    next(found.calibration("train", 1))
    trained = len(found.members["train"]) + len(found.members["validation"])
    assert FakeFlow.calls == 3 * trained


def test_a_space_without_flow_gets_none_and_one_of_images_reads_images() -> None:
    space = {**CLIP_SPACE, "inputs": {"rainy": {"channels": 3, "frames": 3}}}
    space["nodes"] = {k: v for k, v in CLIP_SPACE["nodes"].items() if k != "aligned"}
    found = prepared(space=space)
    assert optical_flow(found.recipe, found.graph) is None
    reads = reading(found.recipe, found.graph)
    assert reads is not None and (reads.frames, reads.flow) == (3, None)
    images = prepare("rdmc-quick")
    assert reading(images.recipe, images.graph) is None


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"data.layout": "rain100"}, "layout 'rain100' is one of images, and space 'clips' reads"),
        ({"data.clip": {"length": 2}}, "clips of 2 frames, and space 'clips' reads 3 at a time"),
        ({"data.clip": {"height": 12}}, "frames of a height of 12 hold no patch of 16"),
        ({"data.flow": {"weights": "x.pth"}}, "weights of optical flow are given"),
        ({"data.flow": {"model": "raft"}}, "raft"),
    ],
)
def test_what_does_not_fit_the_space_is_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(SpecError) as error:
        prepared(**values)
    assert message in str(error.value)


TMICS = {"protocols": ["rgb", "tmics"]}


def test_clips_of_photographs_are_long_enough_for_the_protocols(pairs: Path) -> None:
    message = "test clips of 4 frames, of which protocol 'tmics' counts none"
    moved: tuple[dict[str, object], ...] = (
        {},
        {"data.root": str(pairs), "data.layout": "photographs"},
        {"data.test_root": str(pairs), "data.test_layout": "photographs"},
    )
    for values in moved:
        with pytest.raises(SpecError, match=message) as error:
            prepared(**values, evaluate=TMICS)
        assert error.value.path == "data.clip.length" and "at least 5" in str(error.value)
    apart: tuple[dict[str, object], ...] = (
        {"data.clip.length": 5},
        {"data.test": 0},
        {"data.test_root": str(pairs)},
        {"data.root": str(pairs)},
    )
    for values in apart:
        prepared(**values, evaluate=TMICS)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"data.layout": "nturain"}, "layout 'nturain' is one of clips, and space 'rdmc' reads"),
        ({"data.clip": {"length": 5}}, "reads images: nothing is made into clips"),
        ({"data.flow": {"model": "raft_small"}}, "reads no optical flow"),
    ],
)
def test_what_is_of_clips_is_refused_for_images(values: dict[str, object], message: str) -> None:
    with pytest.raises(SpecError) as error:
        prepare("rdmc-quick", python_overrides(values))
    assert message in str(error.value)


def test_weights_that_are_missing_are_found_before_anything_is_decoded(pairs: Path) -> None:
    flow = {"model": "raft_small", "weights": str(pairs / "none.pth")}
    with pytest.raises(NasRestoreError, match=r"there is no file .*none\.pth with the raft_small"):
        splits(**{"data.root": str(pairs), "data.flow": flow})


def test_frames_too_small_for_raft_are_one_message(
    pairs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Small(FakeFlow):
        def too_small(self, height: int, width: int) -> bool:
            return min(height, width) < 128

    monkeypatch.setattr(assembled, "OpticalFlow", Small)
    found = splits(**{"data.root": str(pairs), "data.flow": {"model": "raft_small"}})
    with pytest.raises(NasRestoreError) as error:
        found.stream(found._recipe.search.levels[0], 1)
    trained = sorted({*found.members["train"], *found.members["validation"]})
    named = ", ".join(f"{name} (24x24)" for name in trained)
    assert error.value.message == (
        "frames are too small for optical flow, which needs 128x128 pixels (height x width) at least: "
        + named
    )
    assert "patch" not in str(error.value.hint) and "data.flow.model=none" in str(error.value.hint)


def test_a_test_set_apart_and_clean_clips(pairs: Path, tmp_path: Path) -> None:
    found = splits(
        **{
            "data.root": str(pairs / "norain"),
            "data.layout": "clean_clips",
            "data.test_root": str(put_pairs(tmp_path / "other", 2)),
            "data.overlap": "accepted",
        }
    )
    assert found.name == "clean clips (norain), medium rain"
    assert found.members["test"] == ["other/norain/00", "other/norain/01"]
    assert len(found.all) == 2 * 8  # two variants of each


@pytest.mark.shared
def test_real_clean_clips(shared_data: Path) -> None:
    found = splits(
        **{
            "data.root": str(shared_data / "clips"),
            "data.layout": "clean_clips",
            "data.test_root": str(shared_data / "ntu"),
            "data.test_layout": "nturain",
            "data.limit": 2,
        }
    )
    found.check_disjoint()
    assert next(found.stream(found._recipe.search.levels[0], 0)).degraded.shape[1] == 3


def test_photographs_that_were_seen_are_known_whatever_way_the_camera_took() -> None:
    first, other = splits(seed=0), splits(seed=1)
    for found in (first, other):
        found.check_disjoint()
    trained, tested = first.contents["trained"], other.contents["tested"]
    both = {*first.members["train"], *first.members["validation"]} & {*other.members["test"]}
    assert both and trained & tested == {f"photograph {name}" for name in both}
