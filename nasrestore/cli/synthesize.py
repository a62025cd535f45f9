"""``nasrestore synthesize``: rainy pairs and clips from clean photographs, frames and videos."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError, Namespace
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from nasrestore.cli import options
from nasrestore.cli.output import print_json, say
from nasrestore.cli.progress import ProgressObserver
from nasrestore.cli.stopping import Stopped, terminable
from nasrestore.errors import NasRestoreError
from nasrestore.spec.rain import QUANTITIES, RAIN_KINDS

if TYPE_CHECKING:
    from nasrestore.api.synthesize import Synthesis

EXAMPLE = """
nasrestore synthesize photos/ --out pairs --preset heavy --seed 1
nasrestore synthesize photos/ --out clips --clips 30 --model auxiliary
nasrestore synthesize clean/ --sequences --out clips --direction -10:10
nasrestore synthesize clean.mp4 --out clips --density 0.3 --accumulation 0.1
"""


def add_arguments(parser: ArgumentParser) -> None:
    help_text = "clean photographs, folders of them, and videos"
    parser.add_argument("clean", metavar="CLEAN", nargs="+", type=Path, help=help_text)
    help_text = "folder for rain/ and norain/, with the same names in both; what is there stays"
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help=help_text)
    help_text = "light, medium, heavy or mixed; default: mixed"
    parser.add_argument("--preset", default="mixed", metavar="NAME", help=help_text)
    for name, quantity in QUANTITIES.items():
        parser.add_argument(f"--{name}", type=_span, metavar="X[:Y]", help=quantity.doc)
    help_text = "additive, or auxiliary: with the blurred second kind of streaks of TMICS's Eq. 1"
    parser.add_argument(
        "--model",
        type=options.one_of(*RAIN_KINDS),
        default="additive",
        metavar="MODEL",
        help=help_text,
    )
    help_text = "a folder is a clip, its images are the frames; so is every folder below it"
    parser.add_argument("--sequences", action="store_true", help=help_text)
    help_text = "clips of N frames from photographs, seen by a moving camera"
    parser.add_argument("--clips", type=options.whole(1), metavar="N", help=help_text)
    options.add_size(parser, "of those frames; default: three quarters of the photograph")
    help_text = "fastest of that camera along either axis, pixels a frame; default: 3"
    parser.add_argument("--pan", type=_speed, metavar="X", help=help_text)
    help_text = "of everything random; default: 0"
    parser.add_argument("--seed", type=options.whole(0), default=0, metavar="N", help=help_text)
    parser.add_argument("--overwrite", action="store_true", help="replace what has the same name")
    options.add_json(parser)


def _span(text: str) -> tuple[float, float]:
    """``0.2``, or ``0.1:0.3`` for a range that is drawn from."""
    parts = text.split(":")
    try:
        numbers = [float(part) for part in parts]
    except ValueError:
        numbers = []
    if len(numbers) not in (1, 2):
        raise ArgumentTypeError(f"expected a number, or low:high, got {text!r}")
    return numbers[0], numbers[-1]


def _speed(text: str) -> float:
    """Pixels a frame, within what a recipe's ``data.clip.pan`` may be."""
    with suppress(ValueError):
        if 0 <= float(text) <= 100:
            return float(text)
    raise ArgumentTypeError(f"expected a number from 0 to 100, got {text!r}")


def run(arguments: Namespace) -> int:
    for path in arguments.clean:
        if not path.exists():
            raise NasRestoreError(f"no such file or folder: {path}", hint="check the path")
    for option, why in (("size", "other frames keep their size"), ("pan", "no camera moves else")):
        if getattr(arguments, option) is not None and arguments.clips is None:
            raise NasRestoreError(f"--{option} belongs to --clips", hint=why)
    from nasrestore.api.clean_sources import plan
    from nasrestore.api.synthesize import auxiliary_rain, rain_model, synthesize

    given = {name: getattr(arguments, name) for name in QUANTITIES}
    said = {name: span for name, span in given.items() if span is not None}
    rain = rain_model(arguments.preset, **said)
    sources = plan(
        arguments.clean,
        arguments.out,
        sequences=arguments.sequences,
        clips=arguments.clips,
        size=arguments.size,
        pan=arguments.pan,
        overwrite=arguments.overwrite,
    )
    try:
        with terminable(), ProgressObserver() as observer:
            made = synthesize(
                sources,
                arguments.out,
                rain,
                auxiliary=auxiliary_rain(arguments.model),
                seed=arguments.seed,
                progress=lambda done, total: observer.loading("rainy images", done, total),
            )
    except KeyboardInterrupt:
        raise Stopped(
            f"interrupted: what was made so far is in {arguments.out}, each of it whole; "
            "the same command with --overwrite makes all again"
        ) from None
    if arguments.json:
        print_json(
            {"out": made.out, "pairs": made.pairs, "clips": made.clips, "frames": made.frames}
        )
    else:
        _say(made)
    return 0


def _say(made: Synthesis) -> None:
    if made.pairs:
        say(f"pairs: {made.pairs:,} in {made.out}/rain and {made.out}/norain")
    if made.clips:
        say(
            f"clips: {len(made.clips):,} of {made.frames:,} frames in {made.out}/rain and "
            f"{made.out}/norain"
        )
