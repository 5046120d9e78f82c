# SPDX-License-Identifier: Apache-2.0
"""The builds of xlite that are known: data about files on the package index."""

from dataclasses import dataclass

__all__ = ["BUILDS", "CHIPS", "MACHINES", "PYTHONS", "REQUIREMENT", "XliteBuild"]


@dataclass(frozen=True, slots=True)
class XliteBuild:
    """One build of the extension `xlite._C`.

    Parameters
    ----------
    version
        Of the distribution.
    python
        Of CPython, as "3.11".
    machine
        Processor, as `platform.machine()` names it.
    sha256
        Of the file of the extension, in hexadecimal.
    sizes_offset
        Where the torch that it was compiled against has the sizes in a tensor, in bytes. All of
        these name line 1768 of c10/core/TensorImpl.h in an assertion: torch 2.10.
    """

    version: str
    python: str
    machine: str
    sha256: str
    sizes_offset: int = 64


BUILDS = (
    XliteBuild(
        *("0.2.0rc4", "3.11", "x86_64"),
        "6a0125f2e1a789c8ecc69a721a74e6129640db6edcd18dd10742c268ce7fcce0",
    ),
    XliteBuild(
        *("0.2.0rc4", "3.12", "x86_64"),
        "46cefea01d6c34f7f8ecae3f9905dca021e4d7d7d2b153682c66fc5cbd37e282",
    ),
    XliteBuild(
        *("0.2.0rc4", "3.11", "aarch64"),
        "4bd12f6a5f2b64f06c340c7e28c6139457b9f5383ba3bf5bce0e03f8fe153fb9",
    ),
    XliteBuild(
        *("0.2.0rc4", "3.12", "aarch64"),
        "62d7ed815e83e58926099cd41f4a27069a92c28bce0a362fd59da7e8def9add0",
    ),
)

MACHINES = tuple(sorted({build.machine for build in BUILDS}))
PYTHONS = tuple(sorted({build.python for build in BUILDS}))
REQUIREMENT = "xlite==0.2.0rc4"

CHIPS = (
    *("Ascend910B1", "Ascend910B2", "Ascend910B2C"),
    *("Ascend910B3", "Ascend910B4", "Ascend910B4-1"),
    *("Ascend910_9362", "Ascend910_9372", "Ascend910_9381"),
    *("Ascend910_9382", "Ascend910_9391", "Ascend910_9392"),
)
"""Chips that the kernels in these builds are for. On any other the engine registers no kernel, and
every launch succeeds and computes nothing."""
