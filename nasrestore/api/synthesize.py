"""Rainy pairs and clips made of clean photographs, frames and videos."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasrestore.api.clean_sources import Photo, Source
from nasrestore.api.synthesis_folder import SynthesisFolder, locked
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
    in ``synthesis.json``, beside what earlier calls made in the same folder. Whatever ends it early,
    every pair and clip that is there is whole.

    Args:
        sources: of :func:`nasrestore.api.clean_sources.plan`.
        auxiliary: the second kind of streaks of TMICS's Eq. 1; None: the additive model.
        progress: called with (images and frames done, in all, None while that is unknown).

    Raises:
        NasRestoreError: a source cannot be read, a photograph is smaller than its frames, another
            process is writing there, or the disk refuses.
        VideoCut: a video stops decoding half way; what was decoded has become a clip.
    """
    maker = _Maker(rain, auxiliary, seed, _Counter(sources, progress))
    paths = {source.name: str(source.path) for source in sources}
    with locked(out) as folder:
        folder.record.begin(_call(maker, sources, paths))
        try:
            for source in sources:
                if isinstance(source, Photo) and source.frames is None:
                    maker.make_pair(source, folder)
                else:
                    maker.make_clip(source, folder)
        except BaseException:
            with suppress(NasRestoreError):  # what ended it is what is to be heard of
                folder.record.end({name: paths[name] for name in folder.made}, finished=False)
            raise
        folder.record.end(paths, finished=True)
    maker.counter.end()
    clips = tuple(source.name for source in sources if source.name not in maker.pairs)
    return Synthesis(out, len(maker.pairs), clips, maker.counter.done - len(maker.pairs))


class _Counter:
    """Tells how much is done."""

    def __init__(self, sources: Sequence[Source], progress: Progress | None) -> None:
        known = [source.expected for source in sources]
        self.total = None if None in known else sum(filter(None, known))
        self.done = 0
        self._progress = progress

    def tick(self) -> None:
        self.done += 1
        self._tell(self.total)

    def end(self) -> None:
        """What was expected need not have been true."""
        if self.total != self.done:
            self._tell(self.done)

    def _tell(self, total: int | None) -> None:
        if self._progress is not None:
            self._progress(self.done, total)


@dataclass
class _Maker:
    """Puts sources in rain."""

    rain: RainModel
    auxiliary: AuxiliaryRain | None
    seed: int
    counter: _Counter
    pairs: set[str] = field(default_factory=set)

    def make_pair(self, photo: Photo, folder: SynthesisFolder) -> None:
        import numpy as np

        from nasrestore.data.auxiliary_rain import add_auxiliary_rain
        from nasrestore.data.images import read_image
        from nasrestore.data.rain import add_rain

        pixels = read_image(photo.path).pixels
        generator = np.random.default_rng(self._words(photo))
        if self.auxiliary is None:
            rainy = add_rain(_unit(pixels), self.rain, generator)
        else:
            rainy = add_auxiliary_rain(_unit(pixels), self.rain, self.auxiliary, generator)
        folder.put_pair(photo.name, _pixels(rainy, pixels.dtype), pixels)
        self.pairs.add(photo.name)
        self.counter.tick()

    def make_clip(self, source: Source, folder: SynthesisFolder) -> None:
        from nasrestore.data.rain_clip import RainClip
        from nasrestore.data.video import VideoCut

        words = self._words(source)
        falling: RainClip | None = None
        cut: VideoCut | None = None
        with folder.clip(source.name) as (rainy, clean):
            try:
                for time, pixels in source.clip(words):
                    if falling is None:
                        height, width = pixels.shape[:2]
                        falling = RainClip(
                            height, width, self.rain, words, auxiliary=self.auxiliary
                        )
                    clean.write(pixels)
                    rainy.write(_pixels(falling.over(_unit(pixels), time), pixels.dtype))
                    self.counter.tick()
            except VideoCut as error:  # a shorter clip, but all of it
                cut = error
        if cut is not None:
            raise cut

    def _words(self, source: Source) -> list[int]:
        return [self.seed, *_words(source.name)]


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


def _call(maker: _Maker, sources: Sequence[Source], paths: Mapping[str, str]) -> dict[str, Any]:
    """What is to be known of a call afterwards."""
    from nasrestore.runtime.checkpoint import package_version

    auxiliary = maker.auxiliary
    moved = next((one for one in sources if isinstance(one, Photo) and one.frames), None)
    return {
        "version": package_version(),
        "model": "additive" if auxiliary is None else "auxiliary",
        "seed": maker.seed,
        "clips": None if moved is None else moved.frames,
        "size": None if moved is None else moved.size,
        "pan": None if moved is None else moved.pan,
        "rain": dataclasses.asdict(maker.rain),
        "auxiliary": None if auxiliary is None else dataclasses.asdict(auxiliary),
        "sources": dict(paths),
    }
