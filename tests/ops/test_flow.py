"""Optical flow: torchvision's RAFT as it wants to be called, and weights that cannot be had."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.error import URLError

import pytest
import torch
from torch import Tensor, nn

from nasrestore.errors import NasRestoreError
from nasrestore.ops.flow import WEIGHTS, OpticalFlow


@pytest.fixture(scope="module")
def raft() -> nn.Module:
    """torchvision's small RAFT with random weights, in training mode."""
    from torchvision.models.optical_flow import raft_small

    torch.manual_seed(0)
    made: nn.Module = raft_small(weights=None, progress=False)
    return made


@pytest.fixture(scope="module")
def weights(raft: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("raft") / "raft_small.pth"
    torch.save(raft.state_dict(), path)
    return path


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Path]:
    """An empty torch.hub folder."""
    before = torch.hub.get_dir()
    torch.hub.set_dir(str(tmp_path))
    yield tmp_path
    torch.hub.set_dir(before)


class Recorded(nn.Module):
    """Stands in for RAFT: keeps what it was given and answers with the difference of the means."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Tensor, Tensor]] = []

    def forward(self, first: Tensor, second: Tensor) -> list[Tensor]:
        self.calls.append((first, second))
        assert not torch.is_grad_enabled()
        return [first[:, :2] * 0, (second - first)[:, :2]]


def recorded(weights: Path, **options: int) -> tuple[OpticalFlow, Recorded]:
    flow, stand_in = OpticalFlow("raft_small", str(weights), **options), Recorded()
    flow._raft = stand_in
    return flow, stand_in


def test_it_is_torchvisions_raft_on_padded_frames(raft: nn.Module, weights: Path) -> None:
    from torchvision.models.optical_flow import Raft_Small_Weights

    torch.manual_seed(5)
    state = torch.get_rng_state()
    flow = OpticalFlow("raft_small", str(weights))
    assert torch.equal(torch.get_rng_state(), state)
    first = torch.rand(1, 3, 128, 131)
    second = first.roll(2, -1)
    padded = [torch.cat([x[..., :1].expand(-1, -1, -1, 2), x], -1) for x in (first, second)]
    padded = [torch.cat([x, x[..., -1:].expand(-1, -1, -1, 3)], -1) for x in padded]
    raft.eval()
    with torch.no_grad():
        expected = raft(*Raft_Small_Weights.C_T_V2.transforms()(*padded))[-1][..., 2:133]
    found = flow.between(first.requires_grad_(), second)
    assert not found.requires_grad and found.shape == (1, 2, 128, 131)
    torch.testing.assert_close(found, expected)


def test_every_neighbour_of_every_item_and_zero_to_the_centre(weights: Path) -> None:
    flow, stand_in = recorded(weights)
    clip = torch.rand(2, 5, 3, 128, 130)
    found = flow.of(clip)
    for item in range(2):
        for frame in range(5):
            expected = 2 * (clip[item, frame] - clip[item, 2])[:2]
            torch.testing.assert_close(found[item, frame], expected)
    assert (found[:, 2] == 0).all()
    assert len(stand_in.calls) == 1 and stand_in.calls[0][0].shape == (8, 3, 128, 136)


def test_memory_bounds_how_many_pairs_go_together(weights: Path) -> None:
    pair = 4 * (16 * 16) ** 2 * 4 // 3
    clip = torch.rand(1, 7, 3, 128, 128)
    whole = recorded(weights)[0].of(clip)
    for room, sizes in ((4 * pair, [4, 2]), (pair - 1, [1] * 6)):
        flow, stand_in = recorded(weights, pair_bytes=room)
        assert torch.equal(flow.of(clip), whole)
        assert [len(first) for first, _ in stand_in.calls] == sizes


def test_grey_frames_are_repeated_and_brought_to_the_range_of_raft(weights: Path) -> None:
    flow, stand_in = recorded(weights)
    black, white = torch.zeros(1, 1, 128, 128), torch.ones(1, 1, 128, 128)
    flow.between(black, white)
    first, second = stand_in.calls[0]
    assert first.shape == (1, 3, 128, 128)
    assert (first == -1).all() and (second == 1).all()


def test_no_autocast_reaches_raft(weights: Path) -> None:
    flow, stand_in = recorded(weights)
    frame = torch.rand(1, 3, 128, 128, dtype=torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        assert flow.between(frame, frame).dtype == torch.float32
    assert stand_in.calls[0][0].dtype == torch.float32


def test_a_single_frame_has_no_neighbours(weights: Path) -> None:
    assert (OpticalFlow("raft_small", str(weights)).of(torch.rand(1, 1, 3, 8, 8)) == 0).all()


def test_none_is_zero_at_any_size_and_says_so() -> None:
    flow = OpticalFlow("none")
    found = flow.of(torch.rand(2, 3, 3, 5, 4))
    assert found.shape == (2, 3, 2, 5, 4) and (found == 0).all()
    assert flow.note is not None and "no optical flow" in flow.note
    with pytest.raises(NasRestoreError, match=r"reads no weights, got 'raft\.pth'"):
        OpticalFlow("none", weights="raft.pth")


def test_small_frames_are_refused(weights: Path) -> None:
    flow = OpticalFlow("raft_small", str(weights))
    with pytest.raises(
        NasRestoreError, match=r"got frames of 127x200 .* at least 128x128"
    ) as error:
        flow.of(torch.rand(1, 3, 3, 127, 200))
    assert "flow model 'none'" in str(error.value.hint)


def test_shapes_that_do_not_fit_are_refused() -> None:
    flow = OpticalFlow("none")
    with pytest.raises(ValueError, match="T odd, got"):
        flow.of(torch.rand(1, 4, 3, 8, 8))
    for first, second in (((1, 2, 8, 8), (1, 2, 8, 8)), ((2, 3, 8, 8), (1, 3, 8, 8))):
        with pytest.raises(ValueError, match="one shape with 1 or 3 channels"):
            flow.between(torch.rand(first), torch.rand(second))


def test_an_unknown_model_is_named() -> None:
    with pytest.raises(NasRestoreError, match="unknown flow model 'raft_smal'") as error:
        OpticalFlow("raft_smal")
    assert error.value.hint == "did you mean 'raft_small'?"


def test_the_weights_of_another_model_are_named(weights: Path) -> None:
    with pytest.raises(NasRestoreError) as error:
        OpticalFlow("raft_large", str(weights))
    message = str(error.value)
    assert f"{weights} is not raft_large's state dict: feature_encoder" in message
    assert "expected" in message and "found" in message and "more" in message
    assert "raft_large_C_T_SKHT_V2" in message and "flow model 'none'" in message


@pytest.mark.parametrize("model", WEIGHTS)
def test_a_failed_download_shows_both_ways_out(
    model: str, hub: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def fail(url: str, **options: object) -> None:
        asked.append(url)
        raise URLError("no route to host")

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", fail)
    with pytest.raises(NasRestoreError, match="cannot download the raft_") as error:
        OpticalFlow(model)
    assert asked == [f"https://download.pytorch.org/models/{WEIGHTS[model].file}"]
    assert WEIGHTS[model].file in str(error.value.hint)
    assert "flow model 'none'" in str(error.value.hint)


def test_a_cached_download_is_used(
    raft: nn.Module, hub: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", None)
    (hub / "checkpoints").mkdir()
    torch.save(raft.state_dict(), hub / "checkpoints" / WEIGHTS["raft_small"].file)
    assert OpticalFlow("raft_small").note is None
