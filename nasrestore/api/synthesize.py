"""Rainy pairs and clips made of clean photographs, frames and videos."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasrestore.api.clean_sources import Photo, Source
from nasrestore.errors import NasRestoreError
from nasrestore.registry import did_you_mean
from nasrestore.spec.rain import RAIN_KINDS

if TYPE_CHECKING:
    import numpy as np

    from nasrestore.data.auxiliary_rain import AuxiliaryRain
    from nasrestore.data.rain import RainModel

Progress = Callable[[int, int | None], None]


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


def rain_model(preset: str = "mixed", **changes: Any) -> RainModel:
    """A preset with some of it changed, as :func:`nasrestore.data.rain.rain_like` takes it.

    Raises:
        NasRestoreError: an unknown preset, a value outside its limits.
    """
    from nasrestore.data.rain import PRESETS, rain_like

    if preset not in PRESETS:
        raise NasRestoreError(f"unknown rain {preset!r}", hint=did_you_mean(preset, PRESETS))
    return rain_like(preset, **changes)


def auxiliary_rain(model: str) -> AuxiliaryRain | None:
    """The second kind of streaks of a model by name.

    Raises:
        NasRestoreError: an unknown model.
    """
    from nasrestore.data.auxiliary_rain import AuxiliaryRain

    if model not in RAIN_KINDS:
        raise NasRestoreError(
            f"unknown model of rain {model!r}", hint=did_you_mean(model, RAIN_KINDS)
        )
    return AuxiliaryRain() if model == "auxiliary" else None


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
        sources: of :func:`nasrestore.api.clean_sources.plan`.
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
