"""What sets of rainy images and of rainy clips have in common: each shows a clean scene, by whose
identity members are found again and dealt out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

import numpy as np

from nasrestore.errors import NasRestoreError

if TYPE_CHECKING:
    from typing_extensions import Self


class Scene(Protocol):
    """Something that shows a clean scene."""

    @property
    def identity(self) -> str:
        """The clean scene: the same for all rainy versions of it."""


class Member(Protocol):
    """An image or a clip of a set, with where it is from."""

    @property
    def source(self) -> Scene: ...


PairT = TypeVar("PairT", bound=Scene)
MemberT = TypeVar("MemberT", bound=Member)


@dataclass(frozen=True)
class FoundPairs(Generic[PairT]):
    """The pairs of one set on disk, and what was noticed on the way.

    Attributes:
        pairs: in natural order.
        layout: the layout's name; ``given`` for two folders named by the user.
        notes: sentences for the user: what was found, and a count that is not the published one.
    """

    pairs: tuple[PairT, ...]
    layout: str
    notes: list[str]

    def __len__(self) -> int:
        return len(self.pairs)

    @property
    def identities(self) -> list[str]:
        """The clean scenes, each once, in order."""
        return list(dict.fromkeys(pair.identity for pair in self.pairs))

    def select(self, identities: Collection[str]) -> Self:
        """The pairs of these scenes alone."""
        wanted = frozenset(identities)
        return replace(self, pairs=tuple(p for p in self.pairs if p.identity in wanted))


class SceneSet(Generic[MemberT]):
    """Decoded images or clips; ``what`` a message calls several of them."""

    what: str
    _items: list[MemberT]

    def __len__(self) -> int:
        return len(self._items)

    @property
    def identities(self) -> list[str]:
        """The clean scene of every member."""
        return [item.source.identity for item in self._items]

    def select(self, identities: Collection[str]) -> Self:
        """The members of these scenes alone; nothing is decoded again.

        Raises:
            NasRestoreError: the set has none of them.
        """
        wanted = frozenset(identities)
        chosen = [item for item in self._items if item.source.identity in wanted]
        if not chosen:
            raise NasRestoreError(f"none of the {len(wanted)} chosen {self.what} is in the data")
        return self._of(chosen)

    def _of(self, items: list[MemberT]) -> Self:
        """A set of other members that shares all else."""
        part = object.__new__(type(self))
        part.__dict__.update(self.__dict__)
        part._items = items
        return part


def identity_words(identity: str) -> list[int]:
    """A scene's identity as words for a generator's seed."""
    digest = hashlib.sha256(identity.encode()).digest()
    words: list[int] = np.frombuffer(digest, dtype="<u4").tolist()
    return words
