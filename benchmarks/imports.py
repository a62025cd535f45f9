"""How long a command takes that needs no torch: whole processes, from start to exit.

    python -m benchmarks.imports

Help, ``check``, ``show`` and every input error are to answer in under half a second.
"""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

from benchmarks.paired import alternate, arguments, print_table, spread, write_result

ROOT = Path(__file__).resolve().parents[1]
LIMIT = 0.5
PYTHON = "python alone"
COMMANDS = {
    "--help": 0,
    "check rdmc": 0,
    "show rdmc": 0,
    "search rdmc --set search.epochs=two": 2,
}


class Process:
    """A command that is run to its end; ``cpu`` gathers the seconds that it computed.

    Seconds on the clock grow with what else the machine does, seconds computed hardly.
    """

    def __init__(self, command: list[str], status: int = 0) -> None:
        self.command, self.status = command, status
        self.cpu: list[float] = []

    def __call__(self) -> None:
        """Raises RuntimeError where the exit status is another than expected."""
        before = children_seconds()
        found = subprocess.run(self.command, cwd=ROOT, capture_output=True, text=True, check=False)
        self.cpu.append(children_seconds() - before)
        if found.returncode != self.status:
            said = found.stderr.strip() or found.stdout.strip()
            raise RuntimeError(f"{self.command}: exit status {found.returncode}\n{said}")


def children_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def main() -> int:
    options = arguments(__doc__, rounds=15).parse_args()
    sides = {PYTHON: Process([sys.executable, "-c", "pass"])}
    for words, status in COMMANDS.items():
        command = [sys.executable, "-m", "nasrestore", *words.split()]
        sides[words] = Process(command, status)
    measured = alternate(sides, rounds=options.rounds)
    summary = measured.summary(PYTHON)
    print_table(summary, PYTHON)
    for words, side in sides.items():
        row = summary[words]["cpu_seconds"] = spread(side.cpu[-options.rounds :])
        print(f"{words}: computed {row['min']:.3f} / {row['median']:.3f} / {row['max']:.3f} s")
    slow = [words for words in COMMANDS if measured.median(words) >= LIMIT]
    print(f"medians under {LIMIT} s: {not slow}" + "".join(f"; {words}" for words in slow))
    target = {"median_seconds_below": LIMIT, "met": not slow}
    content = {"rounds": options.rounds, "sides": summary, "target": target}
    print(write_result("imports", content, options.out))
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
