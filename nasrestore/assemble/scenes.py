"""The scenes of all splits: which of them are the same, and on which side they belong."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from nasrestore.data.leaks import (
    MOST_CUT,
    MOST_WHOLE,
    Fingerprint,
    Leak,
    find_leaks,
    groups,
    same_scenes,
)
from nasrestore.errors import RunStopped

TRAINED = ("train", "validation")


def compared_by_looks(images: int) -> bool:
    """Whether so many images are also searched for near-duplicates."""
    return images <= MOST_WHOLE


def not_looked_for(images: int) -> list[str]:
    """What is not searched for among so many images, as sentences for the user."""
    if not compared_by_looks(images):
        return [
            f"{images:,} images are too many to compare by looks: scenes in two splits were looked "
            "for by name and by content alone"
        ]
    if images > MOST_CUT:
        return [
            f"{images:,} images are too many to look for parts of one in another: near-duplicates "
            "were looked for among whole images alone"
        ]
    return []


class Scenes:
    """Training and test scenes compared with each other.

    Args:
        members: for each split its clean scenes; copies are moved between its lists.
    """

    def __init__(
        self,
        training: Sequence[Fingerprint],
        testing: Sequence[Fingerprint],
        members: dict[str, list[str]],
    ) -> None:
        self._scenes = [*training, *testing]
        self._trained = len(training)
        self._members = members
        self._split_of = {n: split for split in TRAINED for n in members[split]}
        self._matches = same_scenes(self._scenes)

    def leave_out_tested(self) -> list[str]:
        """Takes scenes that the test has, too, out of training; says which."""
        left_out = []
        for group in groups(self._matches):
            if group[-1] >= self._trained:
                left_out += self._trained_in(group)
        for name in left_out:
            self._members[self._split_of.pop(name)].remove(name)
        return left_out

    def put_together(self) -> list[str]:
        """Moves scenes between training and validation to where the first like them is; says which."""
        moved = []
        for group in groups(self._matches):
            trained = self._trained_in(group)
            for name in trained[1:]:
                split, left = self._split_of[trained[0]], self._split_of[name]
                if split != left:
                    self._members[left].remove(name)
                    self._members[split].append(name)
                    self._split_of[name] = split
                    moved.append(name)
        return moved

    def leaks(self) -> list[Leak]:
        """Scenes that two splits share as the members are now."""
        splits = [self._split_of.get(scene.identity) for scene in self._scenes[: self._trained]]
        tested = ["test"] * (len(self._scenes) - self._trained)
        return find_leaks(self._scenes, [*splits, *tested], self._matches)

    def _trained_in(self, group: Sequence[int]) -> list[str]:
        """The training scenes of a group, without those that were left out."""
        names = [self._scenes[number].identity for number in group if number < self._trained]
        return [name for name in names if name in self._split_of]


def seen_before(
    tested: Collection[str], seen: Collection[str], whose: str, *, accepted: bool
) -> list[str]:
    """What is to be said where weights have been trained on test images in another run.

    Args:
        tested: hashes of the clean images or frames of the test.
        seen: of those that the weights have seen.
        whose: the weights' run.
        accepted: ``data.overlap`` accepts it.

    Raises:
        RunStopped: it does not.
    """
    shared = len(set(tested).intersection(seen))
    if not shared:
        return []
    said = f"the weights of {whose} have been trained on {shared} of the test images or frames"
    if not accepted:
        raise RunStopped(
            said,
            hint="test on others (data.test_root), or split as that run did (the same data and seed); "
            "where it is meant, data.overlap=accepted goes on, and says so beside every figure",
        )
    return [f"data.overlap is accepted: {said}"]
