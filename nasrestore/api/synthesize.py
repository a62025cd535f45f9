"""Rainy pairs and clips made of clean photographs, frames and videos."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasrestore.errors import NasRestoreError
from nasrestore.registry import did_you_mean

if TYPE_CHECKING:
    import numpy as np

    from nasrestore.data.auxiliary_rain import AuxiliaryRain
    from nasrestore.data.frames import FrameFolder
    from nasrestore.data.rain import RainModel
    from nasrestore.data.video import Video

    Frames = Iterator[tuple[float, np.ndarray]]

Progress = Callable[[int, int | None], None]
MODELS = ("additive", "auxiliary")
VIEW = 0.75  # of a photograph's height and width that a moving camera sees


@dataclass(frozen=True)
class Synthesis:
    """What was made.

    Attributes:
        pairs: photographs under rain.
        clips: their names.
        frames: of all clips.
    """

    out: Path
    pairs: int
    clips: tuple[str, ...]
    frames: int


@dataclass(frozen=True)
class Photo:
    """A photograph, and with ``frames`` the clip that a moving camera makes of it."""

    name: str
    path: Path
    frames: int | None = None
    size: tuple[int, int] | None = None

    @property
    def expected(self) -> int:
        return self.frames or 1

    def clip(self, seed: Sequence[int]) -> Frames:
        """The photograph's frames at their times."""
        from nasrestore.data.camera import moved
        from nasrestore.data.images import read_image

        assert self.frames is not None
        pixels = read_image(self.path).pixels
        height, width = pixels.shape[:2]
        size = self.size or (max(1, round(height * VIEW)), max(1, round(width * VIEW)))
        try:
            yield from zip(itertools.count(), moved(pixels, self.frames, seed, size))
        except NasRestoreError as error:
            error.message = f"{self.path}: {error.message}"
            raise


@dataclass(frozen=True)
class FrameClip:
    """The frames of a folder."""

    name: str
    folder: FrameFolder

    @property
    def path(self) -> Path:
        return self.folder.folder

    @property
    def expected(self) -> int:
        return len(self.folder)

    def clip(self, seed: Sequence[int]) -> Frames:
        """Its frames, one a unit of time."""
        for time, image in enumerate(self.folder):
            yield time, image.pixels


@dataclass(frozen=True)
class VideoClip:
    """A video file."""

    name: str
    video: Video

    @property
    def path(self) -> Path:
        return self.video.path

    @property
    def expected(self) -> int | None:
        return self.video.expected

    def clip(self, seed: Sequence[int]) -> Frames:
        """Its frames at their times, in mean distances between frames."""
        for pixels, time in self.video:
            yield float(time * self.video.rate), pixels


Source = Photo | FrameClip | VideoClip


def rain_model(preset: str = "mixed", **changes: Any) -> RainModel:
    """A preset with fields of :class:`nasrestore.data.rain.RainModel` changed.

    Raises:
        NasRestoreError: an unknown preset, a value outside its limits.
    """
    from nasrestore.data.rain import PRESETS

    if preset not in PRESETS:
        raise NasRestoreError(f"unknown rain {preset!r}", hint=did_you_mean(preset, PRESETS))
    return replace(PRESETS[preset], **changes)


def auxiliary_rain(model: str) -> AuxiliaryRain | None:
    """The second kind of streaks of a model by name.

    Raises:
        NasRestoreError: an unknown model.
    """
    from nasrestore.data.auxiliary_rain import AuxiliaryRain

    if model not in MODELS:
        raise NasRestoreError(f"unknown model of rain {model!r}", hint=did_you_mean(model, MODELS))
    return AuxiliaryRain() if model == "auxiliary" else None


def plan(
    clean: Sequence[Path],
    out: Path,
    *,
    sequences: bool = False,
    clips: int | None = None,
    size: tuple[int, int] | None = None,
    overwrite: bool = False,
) -> list[Source]:
    """What is to be made, after all that can be checked by names and headers; nothing is written.

    Raises:
        NasRestoreError: as :func:`synthesize`.
    """
    sources: list[Source] = []
    for given in map(Path, clean):
        sources.extend(_sources(given, out, sequences, clips, size))
    _check_names(sources)
    if clips is not None and not any(isinstance(source, Photo) for source in sources):
        raise NasRestoreError(
            "--clips moves a camera over photographs, and there are none",
            hint="frames and videos are clips already",
        )
    _check_out(out, sources, overwrite)
    return sources


def synthesize(
    sources: Sequence[Source],
    out: Path,
    rain: RainModel,
    *,
    auxiliary: AuxiliaryRain | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Synthesis:
    """Makes pairs ``rain/NAME.png`` with ``norain/NAME.png``, and clips with folders of such a NAME.

    What is made of a source depends on the seed and its name, not on the others. How it was made is
    in ``synthesis.json``.

    Args:
        sources: of :func:`plan`.
        auxiliary: the second kind of streaks of TMICS's Eq. 1; None: the additive model.
        progress: called with (images and frames done, in all, None while that is unknown).

    Raises:
        NasRestoreError: a source cannot be read, a photograph is smaller than its frames, or the
            disk refuses.
    """
    known = [source.expected for source in sources]
    total = None if None in known else sum(filter(None, known))
    done = pairs = 0

    def tick() -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, total)

    clips = []
    for source in sources:
        words = [seed, *_words(source.name)]
        if isinstance(source, Photo) and source.frames is None:
            _make_pair(source, out, rain, auxiliary, words)
            pairs += 1
            tick()
        else:
            _make_clip(source, out, rain, auxiliary, words, tick)
            clips.append(source.name)
    if progress is not None and total != done:
        progress(done, done)
    _write_record(out, rain, auxiliary, seed, sources)
    return Synthesis(out, pairs, tuple(clips), done - pairs)


def _make_pair(
    photo: Photo, out: Path, rain: RainModel, auxiliary: AuxiliaryRain | None, words: list[int]
) -> None:
    import numpy as np

    from nasrestore.data.auxiliary_rain import add_auxiliary_rain
    from nasrestore.data.images import read_image, write_image
    from nasrestore.data.rain import add_rain

    pixels = read_image(photo.path).pixels
    generator = np.random.default_rng(words)
    if auxiliary is None:
        rainy = add_rain(_unit(pixels), rain, generator)
    else:
        rainy = add_auxiliary_rain(_unit(pixels), rain, auxiliary, generator)
    write_image(out / "norain" / f"{photo.name}.png", pixels)
    write_image(out / "rain" / f"{photo.name}.png", _pixels(rainy, pixels.dtype))


def _make_clip(
    source: Source,
    out: Path,
    rain: RainModel,
    auxiliary: AuxiliaryRain | None,
    words: list[int],
    tick: Callable[[], None],
) -> None:
    from nasrestore.data.frames import FrameWriter
    from nasrestore.data.rain_clip import RainClip

    clean, rainy = (FrameWriter(out / part / source.name) for part in ("norain", "rain"))
    falling = None
    for time, pixels in source.clip(words):
        if falling is None:
            height, width = pixels.shape[:2]
            falling = RainClip(height, width, rain, words, auxiliary=auxiliary)
        clean.write(pixels)
        rainy.write(_pixels(falling.over(_unit(pixels), time), pixels.dtype))
        tick()


def _unit(pixels: np.ndarray) -> np.ndarray:
    import numpy as np

    return pixels.astype(np.float32) / np.float32(np.iinfo(pixels.dtype).max)


def _pixels(values: np.ndarray, dtype: Any) -> np.ndarray:
    import numpy as np

    rounded: np.ndarray = np.rint(values * np.float32(np.iinfo(dtype).max)).astype(dtype)
    return rounded


def _words(name: str) -> list[int]:
    """A name as numbers for a seed."""
    digest = hashlib.sha256(name.encode()).digest()
    return [int.from_bytes(digest[i : i + 4], "little") for i in range(0, 16, 4)]


def _sources(
    given: Path, out: Path, sequences: bool, clips: int | None, size: tuple[int, int] | None
) -> Iterator[Source]:
    from nasrestore.data.frames import open_frames
    from nasrestore.data.images import IMAGE_SUFFIXES
    from nasrestore.data.video import VIDEO_SUFFIXES, is_video_name, open_video
    from nasrestore.engine.files import find_files, find_images

    if not given.exists():
        raise NasRestoreError(f"no such file or folder: {given}", hint="check the path")
    if given.is_dir():
        images, videos = find_images(given, without=out), find_files(given, VIDEO_SUFFIXES)
        if not images and not videos:
            raise NasRestoreError(f"no image and no video in the folder {given}")
        if sequences:
            for folder in dict.fromkeys(image.parent for image in images):
                name = _flat(folder.relative_to(given)) or given.resolve().name
                yield FrameClip(name, open_frames(folder))
        else:
            for image in images:
                name = _flat(image.relative_to(given).with_suffix(""))
                yield Photo(name, image, clips, size)
        for video in videos:
            yield VideoClip(_flat(video.relative_to(given).with_suffix("")), open_video(video))
    elif is_video_name(given):
        yield VideoClip(given.stem, open_video(given))
    elif given.suffix.lower() in IMAGE_SUFFIXES and not sequences:
        yield Photo(given.stem, given, clips, size)
    elif sequences:
        raise NasRestoreError(
            f"{given} is no folder of frames", hint="leave --sequences out for single photographs"
        )
    else:
        raise NasRestoreError(f"{given} is not known as an image or a video")


def _flat(path: Path) -> str:
    """A path inside a folder as one name."""
    return "-".join(part for part in path.parts if part != ".")


def _check_names(sources: Sequence[Source]) -> None:
    by_name: dict[str, Source] = {}
    for source in sources:
        other = by_name.setdefault(source.name, source)
        if other is not source:
            raise NasRestoreError(
                f"{other.path} and {source.path} would both be called {source.name!r}",
                hint="make them into different folders",
            )


def _check_out(out: Path, sources: Sequence[Source], overwrite: bool) -> None:
    if out.exists() and not out.is_dir():
        raise NasRestoreError(f"{out} is a file, a folder was expected", hint="name another one")
    folders = [(out / part).resolve() for part in ("rain", "norain")]
    for source in sources:
        if any(
            folder in (source.path.resolve(), *source.path.resolve().parents) for folder in folders
        ):
            raise NasRestoreError(
                f"{source.path} lies where results go, and inputs are never overwritten",
                hint="write to another folder",
            )
    filled = [folder for folder in folders if folder.is_dir() and any(folder.iterdir())]
    if filled and not overwrite:
        raise NasRestoreError(
            f"{out} holds results already ({', '.join(folder.name for folder in filled)})",
            hint="--overwrite replaces those of the same name, --out names another folder",
        )


def _write_record(
    out: Path,
    rain: RainModel,
    auxiliary: AuxiliaryRain | None,
    seed: int,
    sources: Sequence[Source],
) -> None:
    from nasrestore.runtime.checkpoint import package_version, write_atomic
    from nasrestore.runtime.runlog import json_text

    record: Mapping[str, Any] = {
        "format": 1,
        "version": package_version(),
        "model": "additive" if auxiliary is None else "auxiliary",
        "seed": seed,
        "rain": dataclasses.asdict(rain),
        "auxiliary": None if auxiliary is None else dataclasses.asdict(auxiliary),
        "sources": {source.name: str(source.path) for source in sources},
    }
    write_atomic(out / "synthesis.json", json_text(record, indent=2))
