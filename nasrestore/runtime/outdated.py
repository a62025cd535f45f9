"""What a run keeps of a network, removed where the network is not the run's any more.

Figures go first and together (``result.json`` is replaced as a whole), then the weights, by one
renaming, then files that only show them: a run that is interrupted here has no figures that stand
beside another network. Importing this module imports no torch.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from nasrestore.runtime.runfolder import MEASURED, RunFolder, disk_errors, update_result
from nasrestore.runtime.runlog import RunLog

PICTURED = ("test", "given-*")  # what `evaluate` calls the images that it draws


def drop_training(run: RunFolder) -> list[str]:
    """Removes training, evaluations and pictures of a run's network; call it with the run locked.

    Returns:
        The names of what has gone, within the run folder.

    Raises:
        NasRestoreError: the disk refuses.
    """
    _drop_figures(run)
    gone = _set_aside(run.checkpoints_train)
    gone += _set_aside(run.tensorboard / "train")
    if run.log.is_file():
        with RunLog(run.log) as log:
            log.truncate_after(-1, phase="train")
    return [str(path.relative_to(run.path)) for path in gone + _drop_shown(run)]


def drop_measured(run: RunFolder) -> None:
    """Removes the figures of a training that was given up, and its evaluations and their pictures.

    Raises:
        NasRestoreError: the disk refuses.
    """
    _drop_figures(run)
    _drop_shown(run)


def _drop_figures(run: RunFolder) -> None:
    if run.result.is_file():
        update_result(run, without=("train", *MEASURED))


def _drop_shown(run: RunFolder) -> list[Path]:
    """Removes tables, pictures and the page, which show the figures of a network."""
    shown = sorted(run.path.glob("evaluation-*.csv"))
    for name in PICTURED:
        shown += sorted((*run.pictures.glob(f"{name}.png"), *run.pictures.glob(name)))
    for path in (*shown, run.report):
        with disk_errors(path, "remove"):
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    return shown


def _set_aside(folder: Path) -> list[Path]:
    """Removes a folder so that it is there whole or not at all."""
    aside = folder.with_name(f".{folder.name}.removed")
    with disk_errors(folder, "remove"):
        if aside.exists():
            shutil.rmtree(aside)
        if not folder.is_dir():
            return []
        folder.rename(aside)
        shutil.rmtree(aside)
    return [folder]
