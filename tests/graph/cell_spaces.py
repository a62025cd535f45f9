"""Spaces with cells that several tests share; each begins with ``graph_spaces.HEAD``."""

from __future__ import annotations

# Two chains of one cell: decisions tied over all four uses, weights of each use its own.
TIED = """
constants: {width: 4}
cells:
  block:
    nodes:
      layer: {repeat: 2, op: {choice: [residual, dilated, spatial_attention]}}
nodes:
  stem: {op: conv, with: {channels: $width}}
  dominant: {cell: block, repeat: 2, group: dna}
  companion: {cell: block, repeat: 2, reads: stem, group: cna}
  tail: {reads: [dominant, companion], op: conv, with: {channels: 3}}
outputs: {restored: {from: tail, add: rainy}}
"""

# One cell, used three times: each use decides for itself, and all have the same weights.
SHARED = """
cells:
  block:
    constants: {kernel: 3}
    nodes:
      inner: {op: {choice: [residual, dilated, identity]}}
      outer: {op: conv_bn_relu, with: {channels: 4, kernel: $kernel}}
    links:
      skip: {from: x, to: outer, keep: 1}
nodes:
  stem: {op: conv, with: {channels: 4}}
  chain: {cell: block, repeat: 3, decisions: copy, weights: node, with: {kernel: 5}}
  tail: {op: conv, with: {channels: 3}}
outputs: {restored: tail}
"""

# One kernel in all uses, which reads what a link appends.
APPENDED = """
cells:
  block:
    nodes:
      inner: {op: {choice: [residual, dilated]}}
      outer: {op: conv_bn_relu, with: {channels: 4}}
    links:
      skip: {from: x, to: outer, join: concat}
nodes:
  stem: {op: conv, with: {channels: 4}}
  chain: {cell: block, repeat: 3, weights: node}
  tail: {op: conv, with: {channels: 3}}
outputs: {restored: tail}
"""

# DARTS: nodes that add up operations on links, two of which are kept into each.
DARTS = """
constants: {width: 4}
cells:
  normal:
    inputs: [before, last]
    nodes:
      node: {repeat: 3, reads: [], op: identity}
    links:
      edges:
        from: [before, last, node]
        to: node
        op: {choice: [none, identity, separable_conv, {op: separable_conv, with: {kernel: 5}}]}
        with: {channels: $width}
        keep: {per: node, k: 2}
    output: node.1-3
nodes:
  stem: {op: conv, with: {channels: $width * 3}}
  cell: {cell: narrowed, repeat: 3, reads: [stem, stem]}
  tail: {op: conv, with: {channels: 3}}
outputs: {restored: {from: tail, add: rainy}}
"""
DARTS = DARTS.replace(
    "nodes:\n  stem",
    """  narrowed:
    inputs: [before, last]
    nodes:
      first: {reads: before, op: conv_1x1, with: {channels: $width}}
      second: {reads: last, op: conv_1x1, with: {channels: $width}}
      inner: {cell: normal, reads: [first, second]}
nodes:
  stem""",
)

# A node that is one of two cells, each with a choice of its own.
MACRO = """
constants: {width: 4}
cells:
  wide:
    constants: {kernel: 3}
    nodes:
      first: {op: {choice: [conv_bn_relu, separable_conv]}, with: {channels: $width, kernel: $kernel}}
      second: {op: residual}
  deep:
    inputs: [image, features]
    nodes:
      first: {reads: [image, features], op: conv_bn_relu, with: {channels: $width}}
      rest: {repeat: 2, op: {choice: [dense, dilated]}}
nodes:
  stem: {op: conv, with: {channels: $width}}
  body:
    cell: {choice: [wide, deep], group: beta}
    reads: {x: stem, image: rainy, features: stem}
    with: {kernel: 5}
  tail: {op: conv, with: {channels: 3}}
outputs: {restored: {from: tail, add: rainy}}
"""

# Three nodes in a row that may be one of two cells, one of which holds another such node.
NESTED = """
cells:
  plain: {nodes: {first: {op: {choice: [residual, dense, dilated]}}}}
  other:
    nodes:
      first: {op: {choice: [residual, dense]}}
      inner: {cell: {choice: [plain, narrow]}}
  narrow:
    nodes: {first: {op: {choice: [residual, identity]}}, second: {reads: [], op: identity}}
    links:
      into: {from: [x, first], to: second, op: {choice: [none, identity, dense]}, keep: 1}
nodes:
  stem: {op: conv, with: {channels: 4}}
  body: {cell: {choice: [plain, other]}, repeat: 2}
  own: {cell: {choice: [plain, narrow]}, decisions: copy}
  tail: {op: conv, with: {channels: 3}}
outputs: {restored: tail}
"""

ALL = {"tied": TIED, "shared": SHARED, "appended": APPENDED, "darts": DARTS, "macro": MACRO}

# A whole file: a clip and its flow, through operations on images.
CLIP = """format: 1
space: clip
inputs:
  rainy: {channels: 3, frames: $frames}
  flow: {flow_of: rainy}
constants: {frames: 5}
nodes:
  each: {reads: [rainy, flow], op: conv_bn_relu, with: {channels: 4}}
  halved: {op: conv_stride_2, with: {channels: 6}}
  up: {op: bilinear_2}
  head: {op: conv, with: {channels: 3}}
links: {skip: {from: each, to: head, join: add}}
outputs: {restored: head}
"""
