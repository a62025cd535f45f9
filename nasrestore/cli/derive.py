"""``nasrestore derive``: decisions again, under other limits if wanted; weights carried over."""

from __future__ import annotations

import shlex
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasrestore.api.phases import Options
from nasrestore.cli import options
from nasrestore.cli.decisions import print_decisions
from nasrestore.cli.output import complain, count, print_json, print_table, say, title
from nasrestore.cli.progress import ProgressObserver
from nasrestore.cli.report import report_after
from nasrestore.runtime.runfolder import RunFolder, read_result

if TYPE_CHECKING:
    from nasrestore.api.derive import DeriveResult
    from nasrestore.graph.ir import SearchGraph

EXAMPLE = """
nasrestore derive
nasrestore derive runs/first --macs 3G --size 256x256 --top 3
nasrestore derive runs/first --parameters 60k --overwrite
"""


def add_arguments(parser: ArgumentParser) -> None:
    options.add_run(parser)
    help_text = "most parameters, such as 250000 or 250k; default: the space's limit"
    parser.add_argument("--parameters", type=options.amount, metavar="N", help=help_text)
    help_text = "most multiply-adds, such as 2.5G; default: the space's limit"
    parser.add_argument("--macs", type=options.amount, metavar="N", help=help_text)
    options.add_size(
        parser, "size that multiply-adds are counted at; default: the space's, 128x128"
    )
    help_text = "how many alternatives to list, the best first"
    parser.add_argument("--top", type=options.whole(1), default=1, metavar="K", help=help_text)
    help_text = "draw the space with the decisions into this file"
    parser.add_argument("--picture", type=Path, metavar="FILE.svg", help=help_text)
    options.add_device(parser)
    help_text = "decide although training and evaluations of another genotype go with that"
    parser.add_argument("--overwrite", action="store_true", help=help_text)
    options.add_json(parser)


def run(arguments: Namespace) -> int:
    from nasrestore.api.derive import derive
    from nasrestore.api.run import open_recipe

    with ProgressObserver() as observer:
        result = derive(
            arguments.run,
            options=Options(observer),
            parameters=arguments.parameters,
            macs=arguments.macs,
            size=arguments.size,
            top=arguments.top,
            device=arguments.device,
            overwrite=arguments.overwrite,
        )
    graph = open_recipe(result.run).prepared.graph
    if arguments.picture is not None:
        _draw(result, graph, arguments.picture)
    facts = _facts(result, arguments.size or graph.limits.size)
    facts["report"] = report_after(result.run)
    if arguments.json:
        for note in result.notes:
            complain(note)
        print_json(facts)
    else:
        _print(facts, arguments.picture)
    return 0


def _facts(result: DeriveResult, size: tuple[int, int]) -> dict[str, Any]:
    return {
        "run": result.run.path,
        "alternatives": [
            {
                "decisions": decided.genotype.decisions,
                "score": decided.score,
                "parameters": None if cost is None else cost.parameters,
                "macs": None if cost is None else int(cost.macs),
            }
            for decided, cost in zip(result.alternatives, result.costs, strict=True)
        ],
        "strengths": result.alternatives[0].genotype.strengths,
        "size": size,
        "gap": result.gap,
        "notes": result.notes,
    }


def _draw(result: DeriveResult, graph: SearchGraph, path: Path) -> None:
    from nasrestore.report.picture import space_svg, write_picture

    genotype = result.alternatives[0].genotype
    write_picture(path, space_svg(graph, genotype.decisions, genotype.strengths))


def _print(facts: dict[str, Any], picture: Path | None) -> None:
    height, width = facts["size"]
    for number, found in enumerate(facts["alternatives"], start=1):
        title("decided" if number == 1 else f"\nalternative {number}")
        print_decisions(found["decisions"], facts["strengths"])
        say(
            f"  {count(found['parameters'])} parameters, "
            f"{count(found['macs'])} multiply-adds at {height}x{width}, score {found['score']:.4f}"
        )
    for note in facts["notes"]:
        say(f"  {note}")
    gap = facts["gap"]
    say("\nobjective on validation patches, statistics of batch normalisation estimated anew")
    print_table([[name, f"{gap[name]:.4f}"] for name in ("supernet", "derived")])
    say(f"  the discretisation costs {gap['gap']:+.4f}")
    say(f"\nrun: {facts['run']}")
    for name, path in (("report", facts["report"]), ("picture", picture)):
        if path is not None:
            say(f"{name}: {path}")
    command = "evaluate" if "train" in read_result(RunFolder(Path(facts["run"]))) else "train"
    say(f"\nnext: nasrestore {command} {shlex.quote(str(facts['run']))}")
