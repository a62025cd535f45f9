"""The short form of an objective's terms: ``ssim: 0.5`` is ``ssim: {weight: 0.5}``."""

from __future__ import annotations

from nasrestore.spec.tree import Tree, child_path


def terms_in_full(tree: Tree, other: Tree) -> Tree:
    """A recipe whose terms are mappings where those of another are.

    The two can then be merged key by key: a number on top of a mapping changes its weight alone,
    and a mapping on top of a number keeps that as its weight.
    """
    objectives = tree.child("objectives")
    if objectives is None or objectives.kind != "mapping":
        return tree
    made = {
        name: _with(terms, {key: _full(t, other, name, key) for key, t in terms.value.items()})
        if terms.kind == "mapping"
        else terms
        for name, terms in objectives.value.items()
    }
    return _with(tree, {**tree.value, "objectives": _with(objectives, made)})


def weight_of_term(keys: tuple[str | int, ...], value: Tree, recipe: Tree) -> tuple[str | int, ...]:
    """Where an override goes: of a term that is a mapping, a number changes the weight."""
    is_term = len(keys) == 3 and keys[0] == "objectives"
    if is_term and value.kind == "scalar" and _is_mapping(recipe, *keys):
        return (*keys, "weight")
    return keys


def _full(term: Tree, other: Tree, objective: str, key: str) -> Tree:
    if term.kind != "scalar" or not _is_mapping(other, "objectives", objective, key):
        return term
    at = child_path(term.path, "weight")
    weight = Tree("scalar", term.value, term.location, at, term.key_location)
    return Tree("mapping", {"weight": weight}, term.location, term.path, term.key_location)


def _is_mapping(tree: Tree, *keys: str | int) -> bool:
    found: Tree | None = tree
    for key in keys:
        found = None if found is None else found.child(key)
    return found is not None and found.kind == "mapping"


def _with(tree: Tree, children: dict[str, Tree]) -> Tree:
    return Tree("mapping", children, tree.location, tree.path, tree.key_location)
