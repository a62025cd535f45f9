"""Spaces that several tests share."""

from __future__ import annotations

from functools import cache

from nasrestore.graph.compile import compile_space, compile_tree
from nasrestore.graph.ir import SearchGraph
from nasrestore.spec.load import load_recipe, overrides_of
from nasrestore.spec.source import parse_yaml

HEAD = "format: 1\nspace: made\ninputs: {rainy: {channels: 3}}\n"

CELL = """
nodes:
  head: {op: conv, with: {channels: 8}}
  cell:
    repeat: %d
    op:
      choice:
        - residual
        - dense
        - dilated
        - spatial_attention
        - channel_attention
        - none
        - identity
        - {op: residual, with: {kernel: 5}}
outputs: {restored: cell}
"""

CONCATENATED = """
nodes:
  encoder:
    repeat: 3
    op: {choice: [conv_bn_relu, {op: conv_bn_relu, with: {kernel: 5}, name: wide}]}
    with: {channels: 8}
    between: max_pool_2
  decoder:
    repeat: 3
    op: {choice: [conv_bn_relu, separable_conv]}
    with: {channels: 8}
    between: bilinear_2
  tail: {op: conv, with: {channels: 3}}
links:
  up: {from: encoder, to: decoder, direction: up, join: concat, keep: 2}
  down: {from: encoder, to: decoder, direction: down, join: concat, keep: 1}
outputs: {restored: {from: tail, add: rainy}}
"""

# Nodes that are there only where a link to them is kept.
CONDITIONAL = """
nodes:
  first: {op: conv, with: {channels: 8}}
  side: {reads: first, repeat: 3, op: {choice: [residual, dense, identity, none]}}
  last: {reads: first, op: conv, with: {channels: 8}}
links:
  into: {from: [side, first], to: last, keep: 2}
outputs: {restored: last}
"""


def compiled(text: str) -> SearchGraph:
    """The graph of a space that begins with ``HEAD``."""
    return compile_tree(parse_yaml(HEAD + text, "made.yaml"))


@cache
def rdmc(*overrides: str) -> SearchGraph:
    """RDMC's graph as its recipe has it, with ``--set`` texts."""
    return compile_space(load_recipe("rdmc", overrides_of(overrides)).space)
