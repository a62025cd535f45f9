"""What all tests share: one thread, no network, and where real images are."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from hypothesis import settings

torch.set_num_threads(1)  # tiny tensors: more threads only wait for each other
settings.register_profile("suite", deadline=None, max_examples=60)
settings.load_profile("suite")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real images; the test is skipped where there is none."""
    place = os.environ.get("NASRESTORE_TEST_DATA")
    if not place:
        pytest.skip("NASRESTORE_TEST_DATA is not set: no real images")
    if not Path(place).is_dir():
        pytest.skip(f"NASRESTORE_TEST_DATA names {place}, which is not there")
    return Path(place)


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)
