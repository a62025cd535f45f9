"""``nasrestore evaluate``: PSNR, SSIM and LPIPS of a run, or of anybody's results, by protocol."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasrestore import registry
from nasrestore.api.phases import Options
from nasrestore.cli import options
from nasrestore.cli.figures import print_summaries
from nasrestore.cli.output import print_json, say
from nasrestore.cli.progress import ProgressObserver
from nasrestore.cli.report import report_after
from nasrestore.errors import NasRestoreError
from nasrestore.graph import catalog  # noqa: F401  declares the protocols

if TYPE_CHECKING:
    from nasrestore.api.evaluate import EvaluateResult
    from nasrestore.assemble.lpips import GivenLpips

EXAMPLE = """
nasrestore evaluate runs/first --protocol prenet --protocol rgb
nasrestore evaluate runs/first --rainy Rain100L/rainy --clean Rain100L/norain
nasrestore evaluate --restored results --clean Rain100L/norain --csv results.csv
nasrestore evaluate --restored results --clean clips/norain --sequences --protocol tmics
nasrestore evaluate runs/first --lpips-heads alex.pth
"""


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
    _add_lpips(parser)
    options.add_device(parser)
    options.add_precision(parser)
    options.add_json(parser)


def _add_lpips(parser: ArgumentParser) -> None:
    help_text = "measure LPIPS, of clips tLPIPS too, by its authors' weights/v0.1/alex.pth"
    parser.add_argument("--lpips-heads", metavar="FILE", help=help_text)
    help_text = "torchvision's AlexNet, which LPIPS reads; default: from its cache, or downloaded"
    parser.add_argument("--lpips-alexnet", metavar="FILE", help=help_text)
    help_text = "leave LPIPS out, where the recipe names its weights"
    parser.add_argument("--no-lpips", action="store_true", help=help_text)


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
        _check_with_restored(arguments)
    else:
        _check_with_run(arguments)
    weights = options.given(arguments, "lpips_heads", "lpips_alexnet")
    if arguments.no_lpips and weights:
        raise NasRestoreError(
            f"--no-lpips and {weights[0]} were both given", hint="leave one of them out"
        )
    for name in ("restored", "rainy", "clean"):
        folder = getattr(arguments, name)
        if folder is not None and not folder.is_dir():
            found = "is not a folder" if folder.exists() else "is not there"
            raise NasRestoreError(f"--{name} {folder} {found}", hint="name a folder of images")


def _check_with_restored(arguments: Namespace) -> None:
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
    computes = arguments.lpips_heads is not None
    lone = options.given(arguments, "precision", *([] if computes else ["device"]))
    if lone:
        raise NasRestoreError(
            f"{lone[0]} has no effect with --restored: nothing is restored then",
            hint="leave it out",
        )
    if arguments.no_lpips:
        raise NasRestoreError(
            "--no-lpips has no effect with --restored: only --lpips-heads measures LPIPS there",
            hint="leave it out",
        )


def _check_with_run(arguments: Namespace) -> None:
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
            options=how,
            lpips=_lpips(arguments),
            device=arguments.device,
        )
    return evaluate(
        arguments.run,
        options=how,
        protocols=arguments.protocols,
        rainy=arguments.rainy,
        clean=arguments.clean,
        device=arguments.device,
        precision=arguments.precision,
        lpips=_lpips(arguments),
    )


def _lpips(arguments: Namespace) -> GivenLpips:
    """The files of weights that were given; None: as the recipe says."""
    if arguments.no_lpips:
        return False
    given = {"heads": arguments.lpips_heads, "alexnet": arguments.lpips_alexnet}
    return {key: path for key, path in given.items() if path is not None} or None


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
