"""Help, checks and input errors answer without what takes long to import."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HEAVY = ("torch", "torchvision", "numpy", "rich", "networkx", "matplotlib", "PIL", "nni", "skimage")

QUICK = (
    (0, ["--help"]),
    (0, ["--version"]),
    (0, ["search", "--help"]),
    (0, ["restore", "--help"]),
    (0, ["check", "rdmc", "rdmc-quick", "rdmc-paper"]),
    (0, ["show", "rdmc"]),
    (0, ["show", "rdmc-quick", "--json"]),
    (0, ["show", "rdmc-paper"]),
    (0, ["list"]),
    (0, ["copy", "rdmc-quick"]),
    (0, ["schema", "recipe"]),
    (2, ["serach"]),
    (2, ["search", "rdmc", "--set", "search.levls=3"]),
    (2, ["search", "no-such-recipe"]),
    (2, ["search", "rdmc", "--resume"]),
    (2, ["derive", "no-such-run"]),
    (2, ["train", "no-such-run"]),
    (2, ["train", "--recipe", "rdmc"]),
    (2, ["train", "--recipe", "rdmc", "--genotype", "no-such-genotype"]),
    (2, ["evaluate"]),
    (2, ["evaluate", "--protocol", "prnet"]),
    (2, ["evaluate", "--restored", "a", "--clean", "b"]),
    (2, ["evaluate", "--restored", ".", "--clean", ".", "--lpips-heads", "no-such-file"]),
    (2, ["restore", "missing.png", "--out", "restored"]),
    (2, ["restore", "clip.mp4", "--out", "restored"]),
    (0, ["synthesize", "--help"]),
    (2, ["synthesize", "missing.png", "--out", "pairs"]),
    (2, ["profile", "rdmc"]),
    (2, ["profile", "rdmc", "--genotype", "no-such-genotype"]),
    (2, ["report"]),
    (0, ["doctor", "--help"]),
    (2, ["doctor"]),
    (2, ["doctor", "no-such-run"]),
    (2, ["doctor", "no-such-recipe.yaml"]),
    (2, ["doctor", "rdmc", "--set", "search.levls=3"]),
)

SCRIPT = f"""
import sys
from nasrestore.cli.main import main
for status, arguments in {QUICK!r}:
    found = main(arguments)
    heavy = [name for name in {HEAVY!r} if name in sys.modules]
    if found != status or heavy:
        sys.exit(f"{{arguments}}: status {{found}}, imports {{heavy}}")
"""


def test_nothing_heavy_is_imported(here: Path, environment: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr


def test_the_module_is_the_command(here: Path, environment: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "nasrestore", "check", "no.yaml"],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: cannot read 'no.yaml'")
