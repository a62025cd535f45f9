"""``nasrestore restore``: images, folders, clips and videos through a run's network."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nasrestore.cli import options
from nasrestore.cli.output import complain, print_json, say
from nasrestore.cli.progress import ProgressObserver
from nasrestore.cli.stopping import Stopped, terminable
from nasrestore.errors import NasRestoreError

if TYPE_CHECKING:
    import numpy as np

    from nasrestore.engine.jobs import Job
    from nasrestore.engine.restore import Restorer
    from nasrestore.engine.restore_files import Restored

EXAMPLE = """
nasrestore restore rainy.png --out restored
nasrestore restore photos/ more/*.jpg --out restored --run runs/first
nasrestore restore rainy.mp4 --out restored
nasrestore restore clips/ --out restored --run runs/video
"""


def add_arguments(parser: ArgumentParser) -> None:
    help_text = "images, folders of them, and videos; with a network for clips a folder is a clip"
    parser.add_argument("inputs", metavar="INPUT", nargs="+", type=Path, help=help_text)
    help_text = "folder for what is restored, under the same names"
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help=help_text)
    help_text = "a run folder; default: the newest under runs/"
    parser.add_argument("--run", type=Path, metavar="DIR", help=help_text)
    help_text = "write a video's frames as DIR/NAME/00001.png and so on, not a video"
    parser.add_argument("--frames", action="store_true", help=help_text)
    help_text = "edge of the tiles of large images, pixels; default: the recipe's, or 640"
    parser.add_argument("--tile", type=options.whole(1), metavar="N", help=help_text)
    options.add_device(parser)
    options.add_precision(parser)
    parser.add_argument("--overwrite", action="store_true", help="replace files in DIR")
    options.add_json(parser)


def run(arguments: Namespace) -> int:
    _check_there(arguments.inputs)
    from nasrestore.api.run import open_recipe

    opened = open_recipe(arguments.run)
    frames = getattr(opened.prepared.graph, "frames", None)
    jobs = _plan(arguments, frames)  # what is wrong is found before torch is imported
    from nasrestore.api.evaluate import load

    model = load(
        opened.folder,
        device=arguments.device,
        precision=arguments.precision,
        tile=arguments.tile,
        warn=complain,
    )
    found = getattr(model.restorer, "frames", None)
    if found != frames:
        jobs = _plan(arguments, found)
    try:
        with terminable():
            restored = _restore(model.restorer, jobs)
    except KeyboardInterrupt:
        raise Stopped(
            f"interrupted: what was restored so far is in {arguments.out}; "
            "the same command with --overwrite does all again"
        ) from None
    _show(restored, opened.folder.path, as_json=arguments.json)
    return 0


def _check_there(inputs: Sequence[Path]) -> None:
    for path in inputs:
        if not path.exists():
            raise NasRestoreError(f"no such file or folder: {path}", hint="check the path")


def _plan(arguments: Namespace, frames: int | None) -> list[Job]:
    """What there is to restore, for a network that reads so many frames at a time."""
    from nasrestore.engine.jobs import VideoJob, plan_jobs

    try:
        jobs = plan_jobs(
            arguments.inputs,
            arguments.out,
            frames=frames,
            as_frames=arguments.frames,
            overwrite=arguments.overwrite,
        )
    except NasRestoreError as error:
        if error.message.startswith("the output exists already"):
            error.hint = "--overwrite replaces it, --out names another folder"
        raise
    if arguments.frames and not any(isinstance(job, VideoJob) for job in jobs):
        raise NasRestoreError(
            "--frames writes the frames of videos, and no input is one", hint="leave it out"
        )
    return jobs


def _restore(restorer: Restorer, jobs: Sequence[Job]) -> list[Restored]:
    from nasrestore.engine.jobs import ImageJob
    from nasrestore.engine.restore_files import restore_jobs

    images = all(isinstance(job, ImageJob) for job in jobs)
    with ProgressObserver() as observer:
        shown = _Shown(restorer, observer, "restored images" if images else "restored frames")
        expected = [job.expected for job in jobs]
        shown.total = None if None in expected else sum(filter(None, expected))
        return restore_jobs(shown, jobs, progress=shown.frame_done)


class _Shown:
    """A restorer whose progress is seen, within a large image too."""

    def __init__(self, restorer: Restorer, observer: ProgressObserver, what: str) -> None:
        self._restorer = restorer
        self._observer = observer
        self._what = what
        self._done = 0
        self.total: int | None = None

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        return self._restorer(pixels, progress=self._tile_done)

    def stream(self, frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        return self._restorer.stream(frames, progress=self._tile_done)

    def frame_done(self, done: int, total: int | None) -> None:
        self._done, self.total = done, total
        self._observer.loading(self._what, done, total)

    def _tile_done(self, done: int, tiles: int) -> None:
        if done < tiles:  # the last one still has to be written
            self._observer.loading(self._what, self._done + done / tiles, self.total)


def _show(restored: Sequence[Restored], run: Path, *, as_json: bool) -> None:
    for r in restored:
        if r.pages > 1:
            complain(f"{r.source} has {r.pages} pages: the first alone is restored")
    if as_json:
        files = [
            {
                "source": r.source,
                "target": r.target,
                "frames": r.frames,
                "seconds": r.seconds,
                "size": r.size,
            }
            for r in restored
        ]
        print_json({"run": run, "files": files})
        return
    for r in restored:
        say(str(r.target))
