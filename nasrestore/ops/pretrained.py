"""Weights that others trained: from a path, from torch.hub's cache, or downloaded once.

They are read with ``weights_only`` and held against the shapes that the network needs, and whatever
goes wrong is one message with the ways out.
"""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nasrestore.errors import NasRestoreError, few

DOWNLOAD_TIMEOUT = 20.0  # seconds without an answer


@dataclass(frozen=True)
class Pretrained:
    """A published state dict.

    Attributes:
        name: of the network, for messages.
        file: the name that the download has in torch.hub's cache.
        url: gives the address; called only when nothing else is at hand, since torchvision, which
            knows it, takes long to import. ``None`` where only a path will do.
        ways_out: the hint of every error.
    """

    name: str
    file: str
    url: Callable[[], str] | None
    ways_out: str

    def state(self, path: str | None) -> tuple[Any, str]:
        """The state dict, not checked yet, and where it came from: a path, the cache, the network.

        Raises:
            NasRestoreError: there is no such file, it cannot be read, or the download failed.
        """
        place = self.place(path)
        if path is not None or place.is_file():
            return self._read(place), path or str(place)
        return self._download(), self.file

    def place(self, path: str | None) -> Path:
        """The file that is read: that path, or the one in torch.hub's cache, which may be to come."""
        if path is not None:
            return Path(path).expanduser()
        return Path(torch.hub.get_dir()) / "checkpoints" / self.file

    def digest(self, path: str | None) -> str:
        """The first eight digits of the SHA-256 of the file, once it is there.

        The names of torchvision's files end in it, so that a figure can say whose weights it is by.
        """
        found = hashlib.sha256()
        with open(self.place(path), "rb") as file:
            while block := file.read(2**20):
                found.update(block)
        return found.hexdigest()[:8]

    def fitting(
        self, state: Any, shapes: Mapping[str, tuple[int, ...]], origin: str
    ) -> dict[str, Tensor]:
        """The tensors of those names and shapes; what else the state dict has is left out.

        Raises:
            NasRestoreError: some are missing or have other shapes; the first three are named.
        """
        named = state if isinstance(state, Mapping) else {}
        problems = []
        for key, shape in shapes.items():
            value = named.get(key)
            found = tuple(value.shape) if isinstance(value, Tensor) else "nothing"
            if found != shape:
                problems.append(f"{key}: expected {shape}, found {found}")
        if problems:
            raise NasRestoreError(
                f"{origin} is not {self.name}'s state dict: {few(problems, between='; ')}",
                hint=self.ways_out,
            )
        return {key: named[key] for key in shapes}

    def _read(self, path: Path) -> Any:
        if not path.is_file():
            raise NasRestoreError(
                f"there is no file {path} with the {self.name} weights", hint=self.ways_out
            )
        try:
            return torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # a damaged file makes torch.load raise almost anything
            raise NasRestoreError(
                f"cannot read {self.name} weights from {path}: {_first_line(error)}",
                hint=self.ways_out,
            ) from error

    def _download(self) -> Any:
        if self.url is None:
            raise NasRestoreError(f"the {self.name} weights have no path", hint=self.ways_out)
        try:
            with _network_timeout(DOWNLOAD_TIMEOUT):
                return torch.hub.load_state_dict_from_url(
                    self.url(),
                    map_location="cpu",
                    progress=False,
                    check_hash=True,
                    weights_only=True,
                )
        except Exception as error:  # no network, a proxy's page, a full disk, a wrong hash
            raise NasRestoreError(
                f"cannot download the {self.name} weights: {_first_line(error)}",
                hint=self.ways_out,
            ) from error


@contextmanager
def _network_timeout(seconds: float) -> Iterator[None]:
    """torch.hub waits for ever for a silent server, unless the process has a default timeout."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
