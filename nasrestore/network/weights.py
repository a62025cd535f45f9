"""Weights from a file into a network, and what is said where they do not fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor, nn

from nasrestore.errors import NasRestoreError


class MisfitError(NasRestoreError):
    """Weights that are not of the network that they are to be loaded into."""


def misfits(wanted: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> list[str]:
    """What does not fit, a clause for each tensor: another shape, missing, or too many."""
    found = []
    for name, one in wanted.items():
        if name not in given:
            found.append(f"{name} is missing there")
        elif given[name].shape != one.shape:
            found.append(f"{name} is {shown(given[name])} there and {shown(one)} here")
    return found + [f"{name} is there and not here" for name in given if name not in wanted]


def shown(tensor: Tensor) -> str:
    """``12x9x3x3``."""
    return "x".join(map(str, tensor.shape)) or "a single number"


def refuse_misfits(found: Sequence[str], source: Path) -> None:
    """Raises nothing where nothing was found.

    Args:
        source: the checkpoint that the weights are from.

    Raises:
        MisfitError: the first of them, and how many there are.
    """
    if found:
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        raise MisfitError(
            f"the weights in {source} do not fit the recipe's network: {found[0]}{more}; "
            "recipe.yaml seems to have been changed since",
            hint="put recipe.yaml back as it was, or make a run of its own with the changed one",
        )


def load_weights(module: nn.Module, state: Mapping[str, Tensor], source: Path) -> None:
    """Loads a state dict, all of it.

    Raises:
        MisfitError: it is of another network; the module is as it was.
    """
    refuse_misfits(misfits(module.state_dict(), state), source)
    module.load_state_dict(state)
