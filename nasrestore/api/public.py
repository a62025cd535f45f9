"""The functions of ``import nasrestore as nr``."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasrestore.api.run import RunLike
from nasrestore.assemble.prepare import import_plugin
from nasrestore.errors import Location, NasRestoreError
from nasrestore.graph.compile import compile_tree
from nasrestore.graph.derive import derive as derive_graph
from nasrestore.graph.genotype import Genotype
from nasrestore.graph.genotype import load_genotype as read_genotype_file
from nasrestore.graph.ir import SearchGraph
from nasrestore.graph.recipe_check import seconds
from nasrestore.spec.load import of_space, override_space, overrides_of
from nasrestore.spec.shipped import find
from nasrestore.spec.source import read_yaml, tree_of
from nasrestore.spec.space import check_format

if TYPE_CHECKING:
    from nasrestore.api.derive import DeriveResult
    from nasrestore.api.evaluate import EvaluateResult
    from nasrestore.api.phases import Options
    from nasrestore.api.search import SearchResult
    from nasrestore.api.synthesize import Synthesis
    from nasrestore.api.train import TrainResult
    from nasrestore.engine.model import RestorationModel
    from nasrestore.network.build import GraphNetwork
    from nasrestore.search.loop import Observer

Pathlike = str | os.PathLike[str]


def load_space(
    space: Pathlike,
    overrides: Mapping[str, object] | None = None,
    *,
    plugins: Sequence[Pathlike] = (),
) -> SearchGraph:
    """The search graph of a space, from a path or a shipped name.

    Args:
        overrides: values by dotted path, such as ``{"space.width": 8}`` or ``{"width": 8}``, as
            ``nasrestore show`` takes them.
        plugins: Python files with the operations that the space names, where they are not imported yet.

    Raises:
        SpecError: everything that is wrong with the file and the overrides, or a plugin that cannot
            be imported.
    """
    for plugin in plugins:
        path = os.fspath(plugin)
        import_plugin(Path(path), tree_of(path, Location("plugins", 1, 1)))
    tree = read_yaml(find(os.fspath(space), "space"))
    check_format(tree, "space")
    return compile_tree(override_space(tree, map(of_space, overrides_of((), overrides))))


def load_genotype(genotype: Pathlike) -> Genotype:
    """A genotype, from a path or a shipped name."""
    return read_genotype_file(find(os.fspath(genotype), "genotype"))


def build(
    space: SearchGraph | Pathlike, genotype: Genotype | Pathlike | None = None, **options: Any
) -> GraphNetwork:
    """The network of a space: a supernet, or with a genotype the derived network.

    Args:
        options: ``relaxation`` and ``spread`` of the supernet.

    Returns:
        A module from N C H W in [0, 1] to a mapping of named outputs.
    """
    import nasrestore.ops  # noqa: F401  attaches the factories
    from nasrestore.network.build import build as build_network
    from nasrestore.registry import operation

    graph = space if isinstance(space, SearchGraph) else load_space(space)
    if genotype is not None:
        decided = genotype if isinstance(genotype, Genotype) else load_genotype(genotype)
        graph = derive_graph(graph, decided)
    return build_network(graph, operation.factories(), **options)


def _options(
    observer: Observer | None, budget: str | float | None, should_stop: Callable[[], bool] | None
) -> Options:
    from nasrestore.api.phases import Options
    from nasrestore.search.loop import Silent

    found = seconds(budget) if isinstance(budget, str) else budget
    if isinstance(budget, str) and found is None:
        raise NasRestoreError(f"expected a budget such as 90s, 10m or 2h, got {budget!r}")
    return Options(observer or Silent(), found, should_stop or (lambda: False))


def search(
    recipe: Pathlike,
    overrides: Mapping[str, object] | None = None,
    *,
    out: Pathlike | None = None,
    budget: str | float | None = None,
    seed: int | None = None,
    device: str | None = None,
    resume: bool = False,
    overwrite: bool = False,
    observer: Observer | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> SearchResult:
    """Searches a recipe's space; leaves a run folder with the decisions.

    Args:
        recipe: a path or a shipped name.
        overrides: values by dotted path, such as ``{"search.levels[0].steps": 2}``.
        budget: wall-clock seconds, or a text such as ``10m``.
        observer: hears of every turn.

    Raises:
        NasRestoreError: something given is wrong; nothing was changed.
        RunStopped: a loss is not finite.
    """
    from nasrestore.api.search import search as run_search

    return run_search(
        recipe,
        overrides_of((), overrides),
        options=_options(observer, budget, should_stop),
        out=None if out is None else Path(out),
        seed=seed,
        device=device,
        resume=resume,
        overwrite=overwrite,
    )


def derive(
    run: RunLike = None, *, observer: Observer | None = None, **options: Any
) -> DeriveResult:
    """Takes a run's decisions again, under limits if wanted, and carries its weights over.

    Args:
        options: ``parameters``, ``macs``, ``size``, ``top``, ``device``, ``overwrite``.
    """
    from nasrestore.api.derive import derive as run_derive

    return run_derive(run, options=_options(observer, None, None), **options)


def train(
    run: RunLike = None,
    *,
    budget: str | float | None = None,
    observer: Observer | None = None,
    should_stop: Callable[[], bool] | None = None,
    **options: Any,
) -> TrainResult:
    """Trains the network that a run decided for.

    Args:
        options: ``weights`` (``search``, ``fresh``, or another run's folder), ``device``, ``resume``, ``overwrite``.
    """
    from nasrestore.api.train import train as run_train

    return run_train(run, options=_options(observer, budget, should_stop), **options)


def evaluate(
    run: RunLike = None,
    *,
    protocols: Sequence[str] = (),
    observer: Observer | None = None,
    **options: Any,
) -> EvaluateResult:
    """Measures a run's network on its recipe's test images.

    Args:
        protocols: such as ``prenet``; default: the recipe's.
        options: ``rainy`` and ``clean`` folders instead, ``device``, ``precision``, and files of
            weights as ``lpips={"heads": ..., "alexnet": ...}``, or ``lpips=False`` to leave it out.
    """
    from nasrestore.api.evaluate import evaluate as run_evaluate

    return run_evaluate(run, options=_options(observer, None, None), protocols=protocols, **options)


def load(run: RunLike = None, **options: Any) -> RestorationModel:
    """The derived network of a run, ready to restore.

    Args:
        options: ``device``, ``precision``, ``tile``.
    """
    from nasrestore.api.evaluate import load as load_model

    return load_model(run, **options)


def synthesize(
    clean: Pathlike | Sequence[Pathlike],
    out: Pathlike,
    *,
    preset: str = "mixed",
    model: str = "additive",
    seed: int = 0,
    sequences: bool = False,
    clips: int | None = None,
    size: tuple[int, int] | None = None,
    pan: float | None = None,
    overwrite: bool = False,
    **rain: Any,
) -> Synthesis:
    """Makes rainy pairs and clips of clean photographs, folders of frames and videos.

    Args:
        clean: photographs, folders and videos.
        out: the folder for ``rain/`` and ``norain/``.
        preset: ``light``, ``medium``, ``heavy`` or ``mixed``.
        model: ``additive``, or ``auxiliary`` for TMICS's Eq. 1.
        sequences: a folder is a clip; its images are the frames.
        clips: frames of the clips that a moving camera makes of photographs.
        size: height and width of those frames; default: three quarters of the photograph.
        pan: the fastest of that camera along either axis, pixels a frame; default: 3.
        rain: what is not the preset's, such as ``density=0.3`` or ``direction=(-10, 10)``; also fields
            of :class:`nasrestore.data.rain.RainModel`.

    Raises:
        NasRestoreError: something given is wrong; nothing was written.
    """
    from nasrestore.api import synthesize as room
    from nasrestore.api.clean_sources import plan

    one = isinstance(clean, (str, os.PathLike))
    given = [Path(clean)] if one else [Path(path) for path in clean]  # type: ignore[arg-type, union-attr]
    auxiliary, falling = room.auxiliary_rain(model), room.rain_model(preset, **rain)
    sources = plan(
        given, Path(out), sequences=sequences, clips=clips, size=size, pan=pan, overwrite=overwrite
    )
    return room.synthesize(sources, Path(out), falling, auxiliary=auxiliary, seed=seed)
