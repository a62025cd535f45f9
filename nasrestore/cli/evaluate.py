"""``nasrestore evaluate``: PSNR and SSIM of a run, or of anybody's results, by protocol."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasrestore import registry
from nasrestore.api.phases import Options
from nasrestore.cli import options
from nasrestore.cli.output import print_json, print_table, say, title
from nasrestore.cli.progress import ProgressObserver
from nasrestore.cli.report import report_after
from nasrestore.errors import NasRestoreError
from nasrestore.graph import catalog  # noqa: F401  declares the protocols

if TYPE_CHECKING:
    from nasrestore.api.evaluate import EvaluateResult

EXAMPLE = """
nasrestore evaluate runs/first --protocol prenet --protocol rgb
nasrestore evaluate runs/first --rainy Rain100L/rainy --clean Rain100L/norain
nasrestore evaluate --restored results --clean Rain100L/norain --csv results.csv
nasrestore evaluate --restored results --clean clips/norain --sequences --protocol tmics
"""

Summary = Mapping[str, Any]


def add_arguments(parser: ArgumentParser) -> None:
    options.add_run(parser)
    parser.add_argument(
        "--protocol",
        dest="protocols",
        action="append",
        default=[],
        metavar="NAME",
        help=f"{', '.join(registry.metric.names())}; repeatable; default: the recipe's, or prenet",
    )
    help_text = "degraded images, in place of the recipe's test images"
    parser.add_argument("--rainy", type=Path, metavar="DIR", help=help_text)
    help_text = "their clean images, paired by name"
    parser.add_argument("--clean", type=Path, metavar="DIR", help=help_text)
    help_text = "measure the images of this folder, wherever they come from, in place of a run"
    parser.add_argument("--restored", type=Path, metavar="DIR", help=help_text)
    help_text = (
        "with --restored: the folders hold clips, folders of frames or videos, of which means are "
        "taken one by one"
    )
    parser.add_argument("--sequences", action="store_true", help=help_text)
    help_text = "with --restored: write a row for each image into this file"
    parser.add_argument("--csv", type=Path, metavar="FILE", help=help_text)
    options.add_device(parser)
    options.add_precision(parser)
    options.add_json(parser)


def run(arguments: Namespace) -> int:
    _check(arguments)
    for name in arguments.protocols:
        registry.metric.entry(name)
    with ProgressObserver() as observer:
        result = _measured(arguments, Options(observer))
    report = None if result.run is None else report_after(result.run)
    if arguments.json:
        print_json(_facts(result, report))
        return 0
    print_summaries(result.summaries)
    say()
    for name, path in _places(result, report).items():
        if path is not None:
            say(f"{name}: {path}")
    return 0


def _check(arguments: Namespace) -> None:
    """Refuses options that do not go together, and folders that are not there."""
    if arguments.restored is not None:
        if arguments.clean is None:
            raise NasRestoreError(
                "--restored needs --clean: the images to compare with",
                hint="two folders, the same file names",
            )
        if arguments.run is not None:
            raise NasRestoreError(
                f"a run ({arguments.run}) and --restored were both given",
                hint="--restored measures a folder as it is, without any run",
            )
        lone = options.given(arguments, "device", "precision")
        if lone:
            raise NasRestoreError(
                f"{lone[0]} has no effect with --restored: nothing is restored then",
                hint="leave it out",
            )
    else:
        if arguments.csv is not None:
            raise NasRestoreError(
                "--csv belongs to --restored; the figures of a run are written into its folder",
                hint="leave it out, the end of the command says where",
            )
        if arguments.sequences:
            raise NasRestoreError(
                "--sequences belongs to --restored: what a run reads is known",
                hint="leave it out",
            )
        if (arguments.rainy is None) != (arguments.clean is None):
            raise NasRestoreError(
                "--rainy and --clean belong together", hint="two folders, the same file names"
            )
    for name in ("restored", "rainy", "clean"):
        folder = getattr(arguments, name)
        if folder is not None and not folder.is_dir():
            found = "is not a folder" if folder.exists() else "is not there"
            raise NasRestoreError(f"--{name} {folder} {found}", hint="name a folder of images")


def _measured(arguments: Namespace, how: Options) -> EvaluateResult:
    from nasrestore.api.evaluate import evaluate, evaluate_folders

    if arguments.restored is not None:
        return evaluate_folders(
            arguments.restored,
            arguments.clean,
            protocols=arguments.protocols,
            rainy=arguments.rainy,
            csv=arguments.csv,
            sequences=arguments.sequences,
        )
    return evaluate(
        arguments.run,
        options=how,
        protocols=arguments.protocols,
        rainy=arguments.rainy,
        clean=arguments.clean,
        device=arguments.device,
        precision=arguments.precision,
    )


def _facts(result: EvaluateResult, report: Path | None) -> dict[str, Any]:
    places = _places(result, report)
    run = None if result.run is None else result.run.path
    rows = result.evaluation.as_dict()["rows"]
    return {"run": run, "evaluations": list(result.summaries), "images": rows, **places}


def _places(result: EvaluateResult, report: Path | None) -> dict[str, Path | None]:
    """Where the figures of each image, pictures and report lie."""
    picture = None
    if result.run is not None:
        sheet = result.run.pictures / f"{result.summaries[0]['split']}.png"
        picture = sheet if sheet.is_file() else None
    return {"csv": result.csv, "pictures": picture, "report": report}


def print_summaries(summaries: Sequence[Summary]) -> None:
    """A table of means by protocol, under the name of each data set."""
    for data in dict.fromkeys((row["data"], row["split"]) for row in summaries):
        title(f"{data[0]} ({data[1]})")
        rows = [["protocol", "images", "PSNR before -> after", "SSIM before -> after", ""]]
        for row in summaries:
            if (row["data"], row["split"]) == data:
                psnr = _change(row["psnr_before"], row["psnr_after"], "{:.2f}", " dB")
                ssim = _change(row["ssim_before"], row["ssim_after"], "{:.4f}", "")
                overlap = f"overlap: {row['overlap']}" if "overlap" in row else ""
                rows.append([str(row["protocol"]), _count(row), psnr, ssim, overlap])
        print_table(rows, heads=True)
        steady = next((r for r in summaries if (r["data"], r["split"]) == data), {})
        if "warping_after" in steady:
            change = _change(steady["warping_before"], steady["warping_after"], "{:.6f}", "")
            say(f"  warping error {change}; of the clean clips {steady['warping_clean']:.6f}")


def _count(row: Summary) -> str:
    """How many images; of clips how many frames in how many."""
    clips = row.get("sequences")
    if clips is None:
        return str(row["images"])
    return f"{row['images']} in {clips} clip{'s' * (clips != 1)}"


def _change(before: float | str | None, after: float | str | None, style: str, unit: str) -> str:
    """``25.10 -> 28.04 dB (+2.94)``; result files hold infinities as texts."""
    values = [None if value is None else float(value) for value in (before, after)]
    shown = ["-" if value is None else style.format(value) for value in values]
    was, now = values
    gain = "" if was is None or now is None else f" ({_signed(style, now - was)})"
    return f"{' -> '.join(shown)}{unit}{gain}"


def _signed(style: str, gain: float) -> str:
    return f"{'+' if gain >= 0 else ''}{style.format(gain)}"
