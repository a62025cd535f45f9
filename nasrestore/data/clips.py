"""Pairs of a rainy and a clean clip on disk, found by one declarative rule.

A rule says where rainy clips lie, what in their names is the key, and where the clean clip of a key
lies: :mod:`nasrestore.data.pairs` in time. A clip is a folder of frames, or a video file. Presets are in
:mod:`nasrestore.data.clip_layouts`; whatever does not pair is an error, never left out in silence.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nasrestore.data.files import Failures, existing_folder, natural_sort
from nasrestore.data.frames import FrameFolder, has_frames, number_of_frame, open_frames
from nasrestore.data.images import to_eight_bit, with_channels
from nasrestore.data.pairs import identity_of
from nasrestore.data.video import Video, is_video_name, open_video
from nasrestore.errors import NasRestoreError, few

Clip = FrameFolder | Video


@dataclass(frozen=True)
class ClipRule:
    """How rainy and clean clips belong together, relative to a folder.

    Args:
        rainy_glob: where rainy clips lie, such as ``rain/*``: folders with frames, or videos.
        key_pattern: regular expression with one group, for the whole path of a rainy clip below the
            part of ``rainy_glob`` before its first ``*``; a video's without suffix.
        clean_template: the clean clip of ``{key}``, such as ``norain/{key}``.
        rainy_frames: which files of a folder are frames, such as ``rfc-*.*``.
        clean_frames: the same of a clean folder.
        real: regular expression of folders of real rain, which have no clean clip.
    """

    rainy_glob: str
    key_pattern: str = "(.+)"
    clean_template: str = ""
    rainy_frames: str = "*.*"
    clean_frames: str = "*.*"
    real: str | None = None

    def __str__(self) -> str:
        clean = self.clean_template.replace("{key}", "CLIP")
        frames = "" if self.rainy_frames == "*.*" else f"/{self.rainy_frames}"
        others = "" if self.clean_frames == "*.*" else f"/{self.clean_frames}"
        return f"{self.rainy_glob}{frames} with {clean}{others}"


@dataclass(frozen=True)
class ClipPair:
    """One rainy clip and the clean one it shows.

    Attributes:
        identity: the clean clip: folder and path, the same for all rainy versions of it.
        name: of the rainy clip, for results; of several versions each has its own.
    """

    identity: str
    name: str
    rainy: Clip
    clean: Clip


@dataclass(frozen=True)
class FoundClips:
    """What a rule finds.

    Attributes:
        real: clips of real rain, which have no clean one: nothing can be measured by them.
    """

    pairs: tuple[ClipPair, ...]
    real: tuple[Path, ...] = ()


def find_clips(root: str | Path, rule: ClipRule) -> FoundClips:
    """All pairs below ``root`` in natural order; headers are read, pixels are not.

    Raises:
        NasRestoreError: no such folder, nothing found, clips without a partner on either side, frames
            missing in the middle, or pairs of two sizes or lengths.
    """
    root = existing_folder(root)
    rainy, real = _keyed_rainy(root, rule)
    clean = _once(root, _keyed_clean(root, rule), "clean")
    _once(root, [(p.relative_to(root).with_suffix("").as_posix(), p) for _, p in rainy], "rainy")
    if not clean:
        raise NasRestoreError(f"no clean clip in {root}: looked for {rule}")
    matched = _matched(root, rainy, clean)
    failures = Failures()
    pairs = []
    for key, place in matched:
        with failures:
            pairs.append(_opened(root, rule, place, clean[key]))
    failures.raise_any("clips cannot be used")
    return FoundClips(tuple(pairs), tuple(real))


def _once(root: Path, keyed: Sequence[tuple[str, Path]], kind: str) -> dict[str, Path]:
    """By key; two of one key would be one in silence."""
    found: dict[str, Path] = {}
    for key, place in keyed:
        if key in found:
            raise NasRestoreError(
                f"{root}: two {kind} clips are called {key!r}", hint="rename one, or move it away"
            )
        found[key] = place
    return found


def has_clips(root: Path, rule: ClipRule) -> bool:
    """Whether a folder looks as the rule says: a rainy clip with a key, and its clean one."""
    if not root.is_dir():
        return False
    rainy, _ = _keyed(root, rule)
    clean = dict(_keyed_clean(root, rule))
    return any(key in clean for key, _ in rainy)


def pair_clips(identity: str, name: str, rainy: Clip, clean: Clip) -> ClipPair:
    """A pair that has been held against each other.

    Raises:
        NasRestoreError: two sizes; two lengths or other frame numbers, where headers tell.
    """
    if rainy.size != clean.size:
        raise NasRestoreError(
            f"{place_of(rainy)} is {_wide(rainy)}, its clean clip {place_of(clean)} {_wide(clean)}: "
            "a pair needs one size"
        )
    if isinstance(rainy, FrameFolder) and isinstance(clean, FrameFolder):
        _check_frames(rainy, clean)
    return ClipPair(identity, name, rainy, clean)


def open_clip(place: Path, frames: str = "*.*") -> Clip:
    """A folder of frames, or a video file."""
    return open_frames(place, glob=frames) if place.is_dir() else open_video(place)


def place_of(clip: Clip) -> Path:
    """Where a clip lies."""
    return clip.folder if isinstance(clip, FrameFolder) else clip.path


def length_of(clip: Clip) -> int | None:
    """Its number of frames; of a video what its header says, which need not be true."""
    return len(clip) if isinstance(clip, FrameFolder) else clip.expected


def counted_length(clip: Clip) -> int:
    """Its number of frames as they come: a video is decoded for that, once and frame by frame.

    Raises:
        NasRestoreError: a video stops decoding half way.
    """
    return len(clip) if isinstance(clip, FrameFolder) else sum(1 for _ in clip)


def frames_of(clip: Clip) -> Iterator[np.ndarray]:
    """The frames, ``H W 3`` uint8, one at a time.

    Raises:
        NasRestoreError: a frame cannot be read, or is of another size than its header said.
    """
    if isinstance(clip, FrameFolder):
        for image in clip:
            yield with_channels(to_eight_bit(image.pixels), 3)
    else:
        for frame in clip:
            yield frame.pixels


def clips_below(root: Path) -> dict[str, Path]:
    """Folders that hold frames, and videos, by their path below ``root`` without suffix.

    Where ``root`` holds the frames itself it is the only one, under the name ``.``.

    Raises:
        NasRestoreError: no folder, nothing in it, or a video and a folder of one name.
    """
    root = existing_folder(root)
    if has_frames(root):
        return {".": root}
    found: dict[str, Path] = {}
    for place in natural_sort(root.rglob("*")):
        if any(part.startswith(".") for part in place.relative_to(root).parts):
            continue
        if place.is_dir() and has_frames(place):
            name = place.relative_to(root).as_posix()
        elif place.is_file() and is_video_name(place):
            name = place.relative_to(root).with_suffix("").as_posix()
        else:
            continue
        if name in found:
            raise NasRestoreError(f"{found[name]} and {place} are both the clip {name!r}")
        found[name] = place
    if not found:
        raise NasRestoreError(
            f"no clip in {root}", hint="a clip is a folder of frames, or a video file"
        )
    return found


def check_partners(one: Iterable[str], other: Iterable[str], where: tuple[Path, Path]) -> None:
    """Whether two folders hold clips of the same names.

    Raises:
        NasRestoreError: clips are left without partner, named.
    """
    first, second = list(one), list(other)
    lone = ([n for n in first if n not in second], [n for n in second if n not in first])
    if any(lone):
        parts = [
            f"{few(names)} in {place} alone"
            for names, place in zip(lone, where, strict=True)
            if names
        ]
        raise NasRestoreError(
            f"clips without partner: {'; '.join(parts)}",
            hint="give partners the same name",
        )


def _opened(root: Path, rule: ClipRule, rainy: Path, clean: Path) -> ClipPair:
    named = [place if place.is_dir() else place.with_suffix("") for place in (clean, rainy)]
    identity, name = (identity_of(root, place / "_").removesuffix("/_") for place in named)
    return pair_clips(
        identity, name, open_clip(rainy, rule.rainy_frames), open_clip(clean, rule.clean_frames)
    )


def _keyed_rainy(root: Path, rule: ClipRule) -> tuple[list[tuple[str, Path]], list[Path]]:
    keyed, others = _keyed(root, rule)
    if not keyed and not others:
        raise NasRestoreError(f"no rainy clip in {root}: looked for {rule.rainy_glob}")
    real = [p for p in others if rule.real is not None and re.fullmatch(rule.real, p.name)]
    strange = [place.name for place in others if place not in real]
    if strange:
        raise NasRestoreError(
            f"{root}: {few(strange)}: expected names like {rule.key_pattern}",
            hint="move what is no rainy clip away",
        )
    return keyed, real


def _keyed(root: Path, rule: ClipRule) -> tuple[list[tuple[str, Path]], list[Path]]:
    """Rainy clips with their keys, and those without a key."""
    start = root / rule.rainy_glob.partition("*")[0].rpartition("/")[0]
    keyed, others = [], []
    for place in _clips_matching(root, rule.rainy_glob, rule.rainy_frames):
        inner = place.relative_to(start)
        name = inner.as_posix() if place.is_dir() else inner.with_suffix("").as_posix()
        found = re.fullmatch(rule.key_pattern, name)
        if found is None or (rule.real is not None and re.fullmatch(rule.real, place.name)):
            others.append(place)
        else:
            keyed.append((found.group(1), place))
    return keyed, others


def _keyed_clean(root: Path, rule: ClipRule) -> Iterator[tuple[str, Path]]:
    pattern = re.escape(rule.clean_template).replace(r"\{key\}", "([^/]+)")
    glob = rule.clean_template.replace("{key}", "*")
    for place in _clips_matching(root, glob, rule.clean_frames):
        inner = place.relative_to(root).as_posix()
        videos = rule.clean_template.endswith(".*")
        found = re.fullmatch(pattern.replace(r"\.\*", r"\.[^/.]+") if videos else pattern, inner)
        if found is not None:
            yield found.group(1), place


def _clips_matching(root: Path, glob: str, frames: str) -> list[Path]:
    places = [place for place in root.glob(glob) if not place.name.startswith(".")]
    if glob.endswith(".*"):
        return natural_sort(p for p in places if p.is_file() and is_video_name(p))
    return natural_sort(p for p in places if p.is_dir() and has_frames(p, frames))


def _matched(
    root: Path, rainy: Sequence[tuple[str, Path]], clean: dict[str, Path]
) -> list[tuple[str, Path]]:
    lone = [place.name for key, place in rainy if key not in clean]
    used = {key for key, _ in rainy}
    left = [place.name for key, place in clean.items() if key not in used]
    found = []
    if lone:
        found.append(f"{few(lone)} without clean frames")
    if left:
        found.append(f"{few(left)} without rainy frames")
    if found:
        raise NasRestoreError(
            f"{root}: {' and '.join(found)}", hint="every clip needs its partner; move others away"
        )
    return list(rainy)


def _check_frames(rainy: FrameFolder, clean: FrameFolder) -> None:
    """Whether both have the same frames, by number where names have one."""
    here, there = (_numbered(clip) for clip in (rainy, clean))
    if here.keys() == there.keys() and len(rainy) == len(clean):
        return
    lone = [file.name for number, file in here.items() if number not in there]
    left = [file.name for number, file in there.items() if number not in here]
    found = [
        f"{few(names)} in {clip.folder.name} alone"
        for names, clip in ((lone, rainy), (left, clean))
        if names
    ]
    raise NasRestoreError(
        f"{rainy.folder} has {len(rainy)} frames, its clean clip {clean.folder} {len(clean)}: "
        + ("; ".join(found) or "names do not tell which belong together"),
        hint="both need the same frames, under the same numbers",
    )


def _numbered(clip: FrameFolder) -> dict[int | str, Path]:
    numbers = number_of_frame(clip.files)
    keys = [file.stem for file in clip.files] if numbers is None else numbers
    return dict(zip(keys, clip.files, strict=True))


def _wide(clip: Clip) -> str:
    return f"{clip.size[1]}x{clip.size[0]}"
