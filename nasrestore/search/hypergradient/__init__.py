"""Hypergradients: how the levels below enter a level's gradient. One file each, all pure functions."""

from nasrestore.search.hypergradient import (
    aggregation,
    conjugate_gradient,
    curvature,
    finite_difference,
    first_order,
    neumann,
    resolved,
    unrolled,
    value_function,
)

__all__ = [
    "aggregation",
    "conjugate_gradient",
    "curvature",
    "finite_difference",
    "first_order",
    "neumann",
    "resolved",
    "unrolled",
    "value_function",
]
