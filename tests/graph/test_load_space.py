"""``nr.load_space``: with overrides as everywhere, and with plugins."""

from __future__ import annotations

from pathlib import Path

import pytest

import nasrestore as nr
from nasrestore.errors import SpecError
from nasrestore.spec.load import each_error

PLUGIN = """
from torch import nn
import nasrestore as nr


@nr.operation(
    "doubled_for_load_space",
    signature=nr.OperationSignature("its input twice", {}, layers=lambda c, p: []),
)
class Doubled(nn.Module):
    def __init__(self, in_channels):
        super().__init__()

    def forward(self, x):
        return 2 * x
"""
SPACE = """
format: 1
space: made
inputs: {rainy: {channels: 3}}
nodes: {last: {op: doubled_for_load_space}}
outputs: {restored: last}
"""


def test_overrides_say_what_set_says() -> None:
    graph = nr.load_space("tmics", {"space.frames": 3, "width": 8, "nodes.align.cell": "grouping"})
    assert graph.frames == 3 and [choice.kind for choice in graph.choices] == ["operation"] * 4
    assert graph.node("dna.1").output.channels == 8
    assert nr.load_space("tmics", {}) == nr.load_space("tmics")


@pytest.mark.parametrize(
    ("overrides", "path", "text"),
    [
        ({"widht": 8}, "widht", "did you mean 'width'?"),
        ({"space.frames": "three"}, "constants.frames", "expected"),
        ({"outputs.companoin": None}, "outputs.companoin", "did you mean 'companion'?"),
        ({"nodes.dna.repeat": 0}, "nodes.dna.repeat", ">= 1"),
    ],
)
def test_errors_are_located_in_the_overrides(
    overrides: dict[str, object], path: str, text: str
) -> None:
    with pytest.raises(SpecError) as caught:
        nr.load_space("tmics", overrides)
    (error,) = each_error(caught.value)
    assert error.location is not None and error.location.file == "overrides"
    assert error.path == path and text in str(error)


def test_a_space_with_operations_of_a_plugin(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(PLUGIN)
    (tmp_path / "space.yaml").write_text(SPACE)
    with pytest.raises(SpecError, match="unknown operation 'doubled_for_load_space'"):
        nr.load_space(tmp_path / "space.yaml")
    with pytest.raises(SpecError, match="there is no plugin"):
        nr.load_space(tmp_path / "space.yaml", plugins=[tmp_path / "other.py"])
    graph = nr.load_space(tmp_path / "space.yaml", plugins=[tmp_path / "mine.py"])
    assert [operation.kind for operation in graph.node("last").candidates] == [
        "doubled_for_load_space"
    ]
    assert sum(p.numel() for p in nr.build(graph).parameters()) == 0
