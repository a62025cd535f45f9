"""Names that YAML may use, and what stands behind them.

One :class:`Registry` per kind. A built-in *declares* its signature in ``graph/catalog.py``, which
imports no torch, and attaches its factory where it is defined; a plugin's decorator gives both::

    @operation("my_op", signature=OperationSignature(...))
    class MyOperation(nn.Module): ...

Plugins are found by decorator (``plugins: [my_ops.py]`` in a recipe) and by the entry-point group
``nasrestore.plugins``, which is read only when a name is not known otherwise.
"""

from __future__ import annotations

import difflib
import weakref
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import wraps
from typing import Any, TypeVar

from nasrestore.errors import NasRestoreError

ENTRY_POINTS = "nasrestore.plugins"

Factory = TypeVar("Factory", bound=Callable[..., Any])


def nearest(name: str, names: Iterable[str]) -> str | None:
    """The one of ``names`` that is spelt most like ``name``, if any is close."""
    close = difflib.get_close_matches(name, list(names), n=1, cutoff=0.6)
    return close[0] if close else None


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """A hint: the nearest name where one is close, the choice of names otherwise."""
    known = sorted(names)
    close = nearest(name, known)
    if close is not None:
        return f"did you mean {close!r}?"
    return f"known: {', '.join(known)}" if known else "none is known"


@dataclass
class Entry:
    """What one name stands for; either half may still be missing."""

    name: str
    signature: Any = None
    factory: Callable[..., Any] | None = None
    origin: str = "nasrestore"


class Registry:
    """The names of one kind, such as operations. Calling it gives the decorator.

    Args:
        kind: the singular noun that messages use.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._entries: dict[str, Entry] = {}
        self._made: dict[int, tuple[str, Callable[[], object]]] = {}

    def declare(self, name: str, signature: Any) -> None:
        """States the signature of a built-in without importing its implementation.

        The implementation may have been imported before.
        """
        entry = self._entries.setdefault(name, Entry(name))
        if entry.signature is not None:
            raise ValueError(f"{self.kind} {name!r} is declared twice")
        entry.signature = signature

    def __call__(self, name: str, *, signature: Any = None) -> Callable[[Factory], Factory]:
        """A decorator that attaches a factory to ``name``.

        Raises:
            NasRestoreError: the name belongs to something else already.
        """

        def attach(factory: Factory) -> Factory:
            origin = getattr(factory, "__module__", "?")
            entry = self._entries.get(name)
            if entry is not None and entry.factory is not None and entry.origin != origin:
                raise NasRestoreError(
                    f"{self.kind} {name!r} of {origin} exists already in {entry.origin}",
                    hint="choose another name",
                )
            if entry is None or signature is not None:
                if entry is not None and entry.factory is None and entry.origin != origin:
                    raise NasRestoreError(
                        f"{self.kind} {name!r} of {origin} exists already in {entry.origin}",
                        hint="choose another name",
                    )
                self._entries[name] = Entry(name, signature, factory, origin)
            else:
                entry.factory, entry.origin = factory, origin
            return factory

        return attach

    def __contains__(self, name: str) -> bool:
        return name in self._entries or (_load_entry_points() and name in self._entries)

    def names(self) -> list[str]:
        return sorted(self._entries)

    def entry(self, name: str) -> Entry:
        """The entry of ``name``.

        Raises:
            NasRestoreError: nobody knows the name; the hint has the nearest one.
        """
        if name not in self:
            raise NasRestoreError(
                f"unknown {self.kind} {name!r}", hint=did_you_mean(name, self._entries)
            )
        return self._entries[name]

    def signature(self, name: str) -> Any:
        return self.entry(name).signature

    def factory(self, name: str) -> Callable[..., Any]:
        """What makes the object. Its module must have been imported (``assemble`` does)."""
        factory = self.entry(name).factory
        if factory is None:
            raise RuntimeError(f"{self.kind} {name!r} is declared, but its module is not imported")
        return self._guarded(name, factory)

    def factories(self) -> dict[str, Callable[..., Any]]:
        """Every name whose implementation is imported."""
        found = {e.name: e.factory for e in self._entries.values() if e.factory is not None}
        return {name: self._guarded(name, factory) for name, factory in found.items()}

    def _guarded(self, name: str, factory: Callable[..., Any]) -> Callable[..., Any]:
        """A plugin's factory, whose failure is a message that names it; a built-in's as it is."""
        origin = self._entries[name].origin
        if origin.partition(".")[0] == "nasrestore":
            return factory

        @wraps(factory, updated=())
        def made(*args: Any, **options: Any) -> Any:
            try:
                thing = factory(*args, **options)
            except (NasRestoreError, KeyboardInterrupt):
                raise
            except BaseException as error:  # sys.exit() too, or the command would end as if done
                raise NasRestoreError(
                    f"the plugin's {self.kind} {name!r} cannot be made: "
                    f"{type(error).__name__}: {error}",
                    hint=f"called with {_shown(args, options)}",
                ) from error
            self._remember(name, thing)
            return thing

        return made

    def _remember(self, name: str, thing: object) -> None:
        key = id(thing)
        with suppress(TypeError):  # of what cannot be referred to weakly, less can be told
            of = weakref.ref(thing, lambda _: self._made.pop(key, None))
            self._made[key] = (name, of)

    def maker(self, thing: object) -> str | None:
        """The name under which a plugin's factory made just this object."""
        name, of = self._made.get(id(thing), (None, lambda: None))
        return name if thing is not None and of() is thing else None


def _shown(args: tuple[Any, ...], options: dict[str, Any]) -> str:
    given = [repr(arg)[:40] for arg in args]
    given += [f"{name}={value!r}"[:60] for name, value in options.items()]
    return ", ".join(given) or "nothing"


_entry_points_loaded = False


def _load_entry_points() -> bool:
    global _entry_points_loaded
    if not _entry_points_loaded:
        _entry_points_loaded = True
        from importlib.metadata import entry_points

        for point in entry_points(group=ENTRY_POINTS):
            try:
                point.load()
            except (NasRestoreError, KeyboardInterrupt):
                raise
            except BaseException as error:
                raise NasRestoreError(
                    f"the plugin {point.name!r} ({point.value}) cannot be imported: "
                    f"{type(error).__name__}: {error}",
                    hint="mend the package that installed it, or remove it",
                ) from error
    return True


operation = Registry("operation")
loss = Registry("loss")
metric = Registry("metric")
dataset = Registry("data layout")
relaxation = Registry("relaxation")
hypergradient = Registry("hypergradient")
curvature = Registry("curvature")
optimizer = Registry("optimizer")
schedule = Registry("schedule")

KINDS: dict[str, Registry] = {
    registry.kind: registry
    for registry in (
        operation,
        loss,
        metric,
        dataset,
        relaxation,
        hypergradient,
        curvature,
        optimizer,
        schedule,
    )
}
