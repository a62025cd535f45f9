from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nasrestore.engine.tiles import Span, axis_spans, lay_over, mirrored


@st.composite
def cuts(draw: st.DrawFn) -> tuple[int, dict[str, int]]:
    multiple = draw(st.sampled_from([1, 2, 3, 8, 16]))
    overlap = draw(st.integers(0, 5 * multiple))
    shared = -(-overlap // multiple)
    edge = draw(st.integers(max(1, 2 * shared), 2 * shared + 12))
    size = draw(st.integers(1, 400))
    return size, {"tile": edge * multiple, "overlap": overlap, "multiple": multiple}


@given(cuts())
def test_tiles_that_agree_come_out_exactly(cut: tuple[int, dict[str, int]]) -> None:
    size, settings = cut
    values = torch.rand(2, 500, generator=torch.Generator().manual_seed(size))
    below = torch.zeros(2, size)
    for span in axis_spans(size, **settings):
        lay_over(below, values[:, span.start : span.stop], span, dim=-1)
    assert torch.equal(below, values[:, :size])


@given(cuts())
def test_tiles_are_equal_aligned_and_overlap_as_asked(cut: tuple[int, dict[str, int]]) -> None:
    size, settings = cut
    spans = axis_spans(size, **settings)
    assert len({span.stop - span.start for span in spans}) == 1
    assert spans[0].start == 0
    assert size <= spans[-1].stop < size + settings["multiple"]
    for span in spans:
        assert span.start % settings["multiple"] == span.stop % settings["multiple"] == 0
        assert span.stop - span.start <= settings["tile"]
    for left, right in itertools.pairwise(spans):
        assert left.stop - right.start >= settings["overlap"]


@given(cuts())
def test_the_outer_quarter_of_the_overlap_is_not_used(cut: tuple[int, dict[str, int]]) -> None:
    size, settings = cut
    quarter = settings["overlap"] // 4
    below = torch.zeros(size)
    spans = axis_spans(size, **settings)
    for span in spans:
        tile = torch.ones(span.stop - span.start)
        if span is not spans[0]:
            tile[:quarter] = 1e6
        if span is not spans[-1]:
            tile[len(tile) - quarter :] = 1e6
        lay_over(below, tile, span, dim=0)
    assert torch.equal(below, torch.ones(size))


def test_blending_is_a_raised_cosine_in_the_middle_of_the_overlap() -> None:
    left, right = axis_spans(96, tile=64, overlap=32, multiple=16)
    assert (left.start, left.stop, right.start, right.stop) == (0, 64, 32, 96)
    below = torch.zeros(1, 96, 1)
    lay_over(below, torch.zeros(1, 64, 1), left, dim=1)
    lay_over(below, torch.ones(1, 64, 1), right, dim=1)
    ramp = 0.5 - 0.5 * np.cos(np.pi * (np.arange(16) + 0.5) / 16)
    expected = np.concatenate([np.zeros(40), ramp, np.ones(40)])
    np.testing.assert_allclose(below[0, :, 0].numpy(), expected, atol=1e-6)


def test_tiles_are_no_larger_than_needed() -> None:
    spans = axis_spans(600, tile=512, overlap=32, multiple=16)
    assert [(span.start, span.stop) for span in spans] == [(0, 320), (288, 608)]


@pytest.mark.parametrize(("size", "stop"), [(13, 16), (9, 16), (16, 16), (2, 3)])
def test_mirrored_is_reflection_padding(size: int, stop: int) -> None:
    index = mirrored(Span(0, stop, np.ones(stop)), size)
    np.testing.assert_array_equal(index, np.pad(np.arange(size), (0, stop - size), "reflect"))


@pytest.mark.parametrize("size", [1, 2, 8])
def test_mirrored_replicates_where_reflection_cannot(size: int) -> None:
    index = mirrored(Span(0, 16, np.ones(16)), size)
    np.testing.assert_array_equal(index, np.pad(np.arange(size), (0, 16 - size), "edge"))
