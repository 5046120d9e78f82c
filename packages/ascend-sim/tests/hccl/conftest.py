# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the tests of libhccl."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from processes import Ranks


@pytest.fixture
def ranks(tmp_path: Path) -> Iterator[Ranks]:
    ranks = Ranks(tmp_path / "meeting")
    yield ranks
    ranks.stop()


@pytest.fixture
def run(ranks: Ranks) -> Callable[..., list[Any]]:
    """Run a program on every rank and return what each told."""

    def run(program: str, world: int = 2, **options: Any) -> list[Any]:
        return ranks.start(program, world, **options).results()

    return run
