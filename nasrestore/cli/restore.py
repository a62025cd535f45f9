"""``nasrestore restore``: images and folders of images through a run's network."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nasrestore.cli import options
from nasrestore.cli.output import print_json, say
from nasrestore.cli.progress import ProgressObserver
from nasrestore.cli.stopping import Stopped
from nasrestore.errors import NasRestoreError

if TYPE_CHECKING:
    import numpy as np

    from nasrestore.engine.restore import Restorer
    from nasrestore.engine.restore_files import Restored

EXAMPLE = """
nasrestore restore rainy.png --out restored
nasrestore restore photos/ more/*.jpg --out restored --run runs/first
"""

VIDEO_SUFFIXES = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".gif")


def add_arguments(parser: ArgumentParser) -> None:
    help_text = "images, and folders of images"
    parser.add_argument("inputs", metavar="INPUT", nargs="+", type=Path, help=help_text)
    help_text = "folder for the restored images, under the same names"
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help=help_text)
    help_text = "a run folder; default: the newest under runs/"
    parser.add_argument("--run", type=Path, metavar="DIR", help=help_text)
    help_text = "edge of the tiles of large images, pixels; default: 512, on a GPU 1024"
    parser.add_argument("--tile", type=options.whole(1), metavar="N", help=help_text)
    options.add_device(parser)
    options.add_precision(parser)
    parser.add_argument("--overwrite", action="store_true", help="replace files in DIR")
    options.add_json(parser)


def run(arguments: Namespace) -> int:
    files = _check(arguments)
    from nasrestore.api.evaluate import load
    from nasrestore.api.run import open_recipe

    opened = open_recipe(arguments.run)
    model = load(
        opened.folder,
        device=arguments.device,
        precision=arguments.precision,
        tile=arguments.tile,
    )
    try:
        restored = _restore(model.restorer, arguments, files)
    except KeyboardInterrupt:
        raise Stopped(
            f"interrupted: what was restored so far is in {arguments.out}; "
            "the same command with --overwrite does all again"
        ) from None
    _show(restored, opened.folder.path, as_json=arguments.json)
    return 0


def _check(arguments: Namespace) -> int:
    """How many files there are to restore; what is wrong is found before torch is imported."""
    for path in arguments.inputs:
        if path.suffix.lower() in VIDEO_SUFFIXES and not path.is_dir():
            raise NasRestoreError(
                f"{path} is a video, which this version does not restore yet",
                hint="write its frames as images, such as frames/*.png, and restore the folder",
            )
        if not path.exists():
            raise NasRestoreError(f"no such file or folder: {path}", hint="check the path")
    from nasrestore.engine.files import plan_outputs

    try:
        return len(plan_outputs(arguments.inputs, arguments.out, overwrite=arguments.overwrite))
    except NasRestoreError as error:
        if error.message.startswith("the output exists already"):
            error.hint = "--overwrite replaces it, --out names another folder"
        raise


def _restore(restorer: Restorer, arguments: Namespace, files: int) -> list[Restored]:
    from nasrestore.engine.restore_files import restore_files

    with ProgressObserver() as observer:
        shown = _Shown(restorer, observer, files)
        return restore_files(
            shown,
            arguments.inputs,
            arguments.out,
            overwrite=arguments.overwrite,
            progress=shown.file_done,
        )


class _Shown:
    """A restorer whose progress is seen, within a large image too."""

    def __init__(self, restorer: Restorer, observer: ProgressObserver, files: int) -> None:
        self._restorer = restorer
        self._observer = observer
        self._files = files
        self._done = 0

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        return self._restorer(pixels, progress=self._tile_done)

    def file_done(self, done: int, files: int) -> None:
        self._done = done
        self._observer.loading("restored images", done, files)

    def _tile_done(self, done: int, tiles: int) -> None:
        if done < tiles:  # the last one still has to be written
            self._observer.loading("restored images", self._done + done / tiles, self._files)


def _show(restored: Sequence[Restored], run: Path, *, as_json: bool) -> None:
    if as_json:
        files = [
            {"source": r.source, "target": r.target, "seconds": r.seconds, "size": r.size}
            for r in restored
        ]
        print_json({"run": run, "files": files})
        return
    for r in restored:
        say(str(r.target))
