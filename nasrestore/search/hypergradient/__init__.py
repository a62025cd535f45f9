"""Hypergradients: how the levels below enter a level's gradient. One file each, all pure functions."""

from nasrestore.search.hypergradient import first_order

__all__ = ["first_order"]
