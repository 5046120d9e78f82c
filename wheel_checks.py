# SPDX-License-Identifier: Apache-2.0
"""What must hold for a wheel before it is released; `nox -s wheels` runs it on what it builds.

twine and check-wheel-contents check the metadata and the layout. This checks the rest: the size,
that the platform tag is true to the binaries inside, and that every binary is our own.
"""

import re
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from elftools.elf.elffile import ELFFile
from elftools.elf.gnuversions import GNUVerNeedSection

__all__ = ["problems_of"]

ROOT = Path(__file__).parent
MACHINES = {"x86_64": "EM_X86_64", "aarch64": "EM_AARCH64"}
_MANYLINUX = re.compile(r"manylinux_(\d+)_(\d+)_(\w+)")
_GLIBC = re.compile(r"GLIBC_(\d+)\.(\d+)")


@dataclass(frozen=True)
class Expected:
    """What a package's wheel may hold.

    Parameters
    ----------
    most_bytes
        Of the wheel, to catch what does not belong in it.
    binaries
        File names of the shared libraries that the package builds.
    """

    most_bytes: int
    binaries: frozenset[str] = frozenset()


def _simulated_libraries() -> frozenset[str]:
    spec = tomllib.loads((ROOT / "packages" / "ascend-sim" / "spec" / "abi.toml").read_text())
    return frozenset(f"{library}.so" for library in spec)


EXPECTED = {
    "ascend_aclgraph": Expected(70 << 10),
    "ascend_core": Expected(70 << 10),
    "ascend_ops": Expected(120 << 10, frozenset({"libascend_ops.so"})),
    "ascend_sim": Expected(6 << 20, _simulated_libraries() | {"libascend_sim_kernels.so"}),
    "ascend_vllm_plugin": Expected(96 << 10),
    "ascend_xlite_bridge": Expected(150 << 10, frozenset({"libascend_xlite_bridge.so"})),
}


def problems_of(wheel: Path) -> Iterator[str]:
    """Say what keeps a wheel from being released.

    Parameters
    ----------
    wheel
        A file as pip names it, of one of our packages.

    Raises
    ------
    KeyError
        The package is not in `EXPECTED`.
    """
    package, *_, platform = wheel.stem.split("-")
    expected = EXPECTED[package]
    if (size := wheel.stat().st_size) > expected.most_bytes:
        yield f"it has {size:,} bytes, more than {expected.most_bytes:,}"
    binaries = dict(_binaries(wheel))
    if bool(binaries) != (platform != "any"):
        yield f"its platform is {platform!r}, and it has {len(binaries)} binaries"
    for path, binary in binaries.items():
        if Path(path).name not in expected.binaries:
            yield f"{path} is not a library of this package"
        if platform != "any":
            yield from (f"{path} {problem}" for problem in _untrue(platform, binary))


def _binaries(wheel: Path) -> Iterator[tuple[str, ELFFile]]:
    with zipfile.ZipFile(wheel) as archive:
        for path in archive.namelist():
            content = archive.read(path)
            if content.startswith(b"\x7fELF"):
                yield path, ELFFile(BytesIO(content))


def _untrue(platform: str, binary: ELFFile) -> Iterator[str]:
    """Say where a binary cannot run on what the platform tag promises."""
    machine = next((elf for name, elf in MACHINES.items() if platform.endswith(name)), None)
    if binary["e_machine"] != machine:
        yield f"is for {binary['e_machine']}, and the platform is {platform!r}"
    if promise := _MANYLINUX.fullmatch(platform):
        newest = max(_glibc_versions(binary), default=(0, 0))
        if newest > (int(promise[1]), int(promise[2])):
            yield f"needs GLIBC {newest[0]}.{newest[1]}, newer than {platform!r} promises"


def _glibc_versions(binary: ELFFile) -> Iterator[tuple[int, int]]:
    for section in binary.iter_sections():
        if isinstance(section, GNUVerNeedSection):
            for _, versions in section.iter_versions():
                for version in versions:
                    if match := _GLIBC.match(version.name):
                        yield int(match[1]), int(match[2])


def main(wheels: list[str]) -> int:
    """Print the problems of wheels, and return whether there are any."""
    found = [f"{Path(wheel).name}: {text}" for wheel in wheels for text in problems_of(Path(wheel))]
    print("\n".join(found) or f"{len(wheels)} wheels: size, platform and binaries are right")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
