"""Which kind of file a text means, by its keys where it is a path, by its name otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nasrestore.errors import NasRestoreError
from nasrestore.graph.ir import SearchGraph
from nasrestore.registry import did_you_mean
from nasrestore.runtime.runfolder import RunFolder
from nasrestore.spec.load import RECIPE_KEYS, Override, of_space, override_space
from nasrestore.spec.shipped import Kind, find, folder, is_path, shipped
from nasrestore.spec.source import Tree, read_yaml
from nasrestore.spec.space import kind_of

KINDS: tuple[Kind, ...] = ("recipe", "space", "genotype")


@dataclass(frozen=True)
class KnownFile:
    """A file whose kind is known.

    Attributes:
        text: as the user named it.
    """

    kind: Kind
    path: Path
    text: str
    tree: Tree


def known_file(text: str, order: Sequence[Kind] = KINDS) -> KnownFile:
    """The file that a path or a shipped name means.

    Args:
        order: the kinds that it may be; the first goes first where shipped files share the name.

    Raises:
        NasRestoreError: there is none, or it is of none of these kinds.
    """
    path = Path(text).expanduser()
    if is_path(text) or path.is_file():
        tree = read_yaml(path)
        kind = _kind(tree)
        if kind not in order:
            raise tree.error(f"this is a {kind}, not a {' or '.join(order)}")
        return KnownFile(kind, path, text, tree)
    path, kind = shipped_file(text, order)
    return KnownFile(kind, path, text, read_yaml(path))


def others_called(file: KnownFile) -> list[Kind]:
    """The other kinds of which something shipped has the name that a shipped file was found by."""
    if is_path(file.text) or file.path.stem != file.text or file.path.parent != folder(file.kind):
        return []
    return [
        kind
        for kind in KINDS
        if kind != file.kind and any(path.stem == file.text for path in shipped(kind))
    ]


def is_folder(text: str) -> bool:
    """Whether the text means a folder; a shipped file's name does only where a run is in it."""
    path = Path(text).expanduser()
    named = any(text == file.stem for kind in KINDS for file in shipped(kind))
    return path.is_dir() and (not named or RunFolder(path).recipe.is_file())


def shipped_file(name: str, order: Sequence[Kind] = KINDS) -> tuple[Path, Kind]:
    """The shipped file of a name, and its kind.

    Raises:
        NasRestoreError: nothing that is shipped is called so.
    """
    names: set[str] = set()
    for kind in order:
        files = {path.stem: path for path in shipped(kind)}
        if name in files:
            return files[name], kind
        names.update(files)
    what = "nothing" if len(order) == len(KINDS) else f"no {' or '.join(order)} that is"
    raise NasRestoreError(
        f"{what} shipped is called {name!r}, and there is no such file",
        hint=f"{did_you_mean(name, names)}; nasrestore list shows all",
    )


def description_of(tree: Tree) -> str | None:
    """The line that listings show, whatever else is wrong with the file."""
    found = tree.child("description")
    return None if found is None or not isinstance(found.value, str) else found.value


def _kind(tree: Tree) -> Kind:
    kind = kind_of(tree)
    for known in KINDS:
        if kind == known:
            return known
    raise tree.error(
        "this is neither a recipe, a space nor a genotype",
        "a recipe has the key `recipe`, a space `nodes`, a genotype `decisions`",
    )


def space_of(file: KnownFile, overrides: Sequence[Override] = ()) -> SearchGraph:
    """A space with ``--set`` applied; ``width=8`` and ``space.width=8`` mean the same here.

    Raises:
        SpecError: all that is wrong with it.
    """
    from nasrestore.graph.compile import compile_tree

    return compile_tree(override_space(file.tree, [_in_space(o, file) for o in overrides]))


def _in_space(override: Override, file: KnownFile) -> Override:
    """An override of a space that is shown or checked.

    Raises:
        SpecError: it is of a recipe.
    """
    keys, value = override
    if keys[0] in RECIPE_KEYS and file.tree.at("constants").child(str(keys[0])) is None:
        named = "recipe" in others_called(file)
        raise value.error(
            f"{keys[0]!r} is a key of recipes, and {file.text} is shown as a space here",
            f"nasrestore show {file.text} --kind recipe" if named else "show the recipe",
            key=True,
        )
    return of_space(override)


def refuse_overrides_of_genotype(overrides: Sequence[Override]) -> None:
    """What was decided is no setting.

    Raises:
        NasRestoreError: there are any.
    """
    if overrides:
        raise NasRestoreError(
            "--set changes a space or a recipe, not a genotype", hint="leave it out"
        )


def space_of_genotype(genotype: KnownFile, space: str | None) -> SearchGraph | None:
    """The space that a genotype decides, or None where it is not at hand.

    Args:
        space: path or name; default: that of the run whose folder the genotype lies in, else the
            shipped one that it names.
    """
    from nasrestore.assemble.prepare import prepare
    from nasrestore.graph.compile import compile_tree

    if space is not None:
        return compile_tree(read_yaml(find(space, "space")))
    recipe = genotype.path.parent / "recipe.yaml"
    if genotype.path.name == "genotype.yaml" and recipe.is_file():
        return prepare(recipe).graph
    named = genotype.tree.child("space")
    files = {path.stem: path for path in shipped("space")}
    if named is None or named.kind != "scalar" or named.value not in files:
        return None
    return compile_tree(read_yaml(files[named.value]))
