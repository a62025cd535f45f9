"""LPIPS from the files that a recipe or a command names; torch is imported when they are read."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from nasrestore.errors import NasRestoreError, raise_all
from nasrestore.registry import did_you_mean
from nasrestore.spec.evaluate import LPIPS_WAYS_OUT, EvaluateSpec

if TYPE_CHECKING:
    import torch

    from nasrestore.engine.perception import Perception

GivenLpips: TypeAlias = Mapping[str, str | os.PathLike[str]] | Literal[False] | None

# What torch.save writes is a zip archive, or a pickle as it was before torch 1.6.
_BEGINNINGS = (b"PK", b"\x80")


@dataclass(frozen=True)
class LpipsFiles:
    """Where the weights of LPIPS are.

    Attributes:
        heads: the file of its own.
        alexnet: the file of AlexNet's; None: torch.hub's cache, or a download.
    """

    heads: str
    alexnet: str | None = None


def lpips_files(evaluate: EvaluateSpec | None, given: GivenLpips = None) -> LpipsFiles | None:
    """The files that are to be used; None where LPIPS is not wanted.

    Args:
        evaluate: what a recipe says.
        given: ``heads`` and ``alexnet`` in place of the recipe's; False: no LPIPS.

    Raises:
        NasRestoreError: a file that is not there or holds no weights, AlexNet alone, another key.
    """
    if given is False:
        return None
    named = None if evaluate is None else evaluate.lpips
    found = {} if named is None else {"heads": named.heads, "alexnet": named.alexnet}
    for key, path in (given or {}).items():
        if key not in LPIPS_WAYS_OUT:
            hint = did_you_mean(key, LPIPS_WAYS_OUT)
            raise NasRestoreError(f"LPIPS has no file {key!r}", hint=hint)
        found[key] = os.fspath(path)
    heads = found.get("heads")
    if heads is None:
        if found:
            raise NasRestoreError(
                "LPIPS was given AlexNet's weights, and none of its own",
                hint=LPIPS_WAYS_OUT["heads"],
            )
        return None
    key, problem = next(_problems(found), (None, None))
    if key is not None:
        raise NasRestoreError(f"LPIPS: {problem}", hint=LPIPS_WAYS_OUT[key])
    return LpipsFiles(heads, found.get("alexnet"))


def unusable(path: str) -> str | None:
    """Why a file cannot be a state dict, as far as its beginning tells; None where it may be one."""
    file = Path(path).expanduser()
    if not file.is_file():
        return f"there is no file {path}"
    try:
        with open(file, "rb") as opened:
            beginning = opened.read(2)
    except OSError as error:
        return f"cannot read {path}: {error.strerror or error}"
    return None if beginning.startswith(_BEGINNINGS) else f"{path} holds no weights of torch"


def check_lpips_files(evaluate: EvaluateSpec | None) -> None:
    """Refuses files that a recipe names and that are not there or hold no weights.

    ``prepare`` does not look: a run can be moved, and does without them but for its evaluation.

    Raises:
        SpecError: each at its place in the recipe.
    """
    named = None if evaluate is None else evaluate.lpips
    if named is None:
        return
    found = {"heads": named.heads, "alexnet": named.alexnet}
    raise_all(
        [
            named.tree.at(key).error(problem, LPIPS_WAYS_OUT[key])
            for key, problem in _problems(found)
        ]
    )


def _problems(files: Mapping[str, str | None]) -> Iterator[tuple[str, str]]:
    for key, path in files.items():
        problem = None if path is None else unusable(path)
        if problem is not None:
            yield key, problem


def open_perception(
    files: LpipsFiles, device: torch.device, tell: Callable[[str], None]
) -> Perception:
    """What measures LPIPS by those files.

    Args:
        tell: hears where they are not the published ones.

    Raises:
        NasRestoreError: weights that cannot be had or do not fit.
    """
    from nasrestore.engine.perception import Perception
    from nasrestore.metrics.perceptual import NAME, PUBLISHED, lpips

    distance = lpips(files.heads, files.alexnet)
    for key, digest in distance.digests.items():
        if digest != PUBLISHED[key]:
            tell(
                f"{NAME}: {key} is not the published file (its SHA-256 begins with {digest}, not "
                f"{PUBLISHED[key]}): figures by other weights cannot be compared"
            )
    return Perception(distance, device)
