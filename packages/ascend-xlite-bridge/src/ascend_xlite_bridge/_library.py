# SPDX-License-Identifier: Apache-2.0
"""Whether the xlite library is there and fits; everything is checked before it is loaded."""

import hashlib
import importlib
import platform
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import Any

import torch
from ascend_core import Device

from ascend_xlite_bridge import _native
from ascend_xlite_bridge._builds import BUILDS, CHIPS, MACHINES, PYTHONS, REQUIREMENT, XliteBuild
from ascend_xlite_bridge.errors import XliteUnavailableError

__all__ = ["XliteLibrary", "check_library", "load_engine"]

_INSTALL = f"Run `pip install --force-reinstall --no-deps {REQUIREMENT}`"
_NAMES = {
    "Runtime": ("init_tensor_pool",),
    "ModelConfig": ("max_m", "block_size", "deepstack_num_level", "mrope_section"),
    "Model": (
        *("init", "get_tensor_pool_size", "forward", "forward_v2", "forward_get_logits"),
        *("forward_with_inputs_embeds", "forward_with_inputs_embeds_v2"),
    ),
    "AttnMeta": ("lens", "cached_lens", "block_tables_cpu", "positions"),
    "AttnMetaV2": ("lens", "cached_lens", "query_start_loc", "slot_mapping", "block_tables"),
}
"""What the bridge uses of the engine."""


@dataclass(frozen=True, slots=True)
class XliteLibrary:
    """The installed library.

    Parameters
    ----------
    build
        Which of the known builds it is.
    extension
        The file of `xlite._C`.
    is_adapted
        Whether it was compiled against a torch whose tensors have another layout than those of the
        installed one, so that it is given copies in its own.
    """

    build: XliteBuild
    extension: Path
    is_adapted: bool

    @property
    def version(self) -> str:
        """Version of the distribution."""
        return self.build.version


def check_library() -> XliteLibrary:
    """Check that the installed xlite can run here. Neither it nor torch_npu is imported.

    Returns
    -------
    XliteLibrary
        What is installed.

    Raises
    ------
    XliteUnavailableError
        If xlite is absent, or if it is for another processor, Python, torch or chip, or if it is a
        build that is not known.
    AclLibraryNotFoundError
        If there is no libascendcl, which names the chip.
    """
    _check_host()
    extension = _extension()
    build = _build_of(extension)
    is_adapted = _native.sizes_offset() != build.sizes_offset
    if is_adapted:
        _native.check_copies()
    _check_chip(Device().name)
    return XliteLibrary(build, extension, is_adapted)


@cache
def load_engine() -> Any:
    """Load the engine, once per process.

    Returns
    -------
    module
        `xlite._C`, which sees the tensors of the installed torch rightly.

    Raises
    ------
    XliteUnavailableError
        As `check_library`; or if it does not load, or lacks something.
    """
    library = check_library()
    try:
        importlib.import_module("torch_npu")  # where torch does not load it by itself
        engine = importlib.import_module("xlite._C")
    except ImportError as error:
        raise XliteUnavailableError(
            f"xlite {library.version} does not load: {error}",
            "Source CANN's set_env.sh in this shell, or start with `ascend-sim run --`",
        ) from error
    if lacks := list(_lacks(engine)):
        raise XliteUnavailableError(f"xlite {library.version} has no {', '.join(lacks)}", _INSTALL)
    if library.is_adapted:
        _native.adapt(library.extension)
        _check_round_trip(engine)
    return engine


def _check_host() -> None:
    machine, python = platform.machine(), ".".join(map(str, sys.version_info[:2]))
    if sys.platform != "linux" or machine not in MACHINES:
        raise XliteUnavailableError(
            f"this machine is {sys.platform} on {machine}, and there are wheels of it for Linux on "
            f"{' and '.join(MACHINES)}",
            "Use such a machine",
        )
    if python not in PYTHONS:
        raise XliteUnavailableError(
            f"this is Python {python}, and there are wheels of it for {' and '.join(PYTHONS)}",
            f"Use one of these: `uv venv --python {PYTHONS[-1]}`",
        )


def _extension() -> Path:
    """Find the file of the extension, without importing its package."""
    try:
        distribution = metadata.distribution("xlite")
    except metadata.PackageNotFoundError as error:
        raise XliteUnavailableError(
            "it is not installed", f"Run `pip install --no-deps {REQUIREMENT}`"
        ) from error
    version = distribution.version
    if version not in {build.version for build in BUILDS}:
        raise XliteUnavailableError(
            f"version {version} is installed, which this version of ascend-xlite-bridge does not "
            "know",
            _INSTALL,
        )
    folder = Path(str(distribution.locate_file("xlite")))
    for suffix in EXTENSION_SUFFIXES:
        if (path := folder / f"_C{suffix}").exists():
            return path
    found = ", ".join(sorted(path.name for path in folder.glob("_C*.so"))) or "no extension"
    raise XliteUnavailableError(
        f"its installation in {folder} is for another Python or processor: it has {found}",
        _INSTALL,
    )


def _build_of(extension: Path) -> XliteBuild:
    digest = hashlib.sha256(extension.read_bytes()).hexdigest()
    for build in BUILDS:
        if build.sha256 == digest:
            return build
    raise XliteUnavailableError(
        f"{extension} is none of the builds on the package index (SHA-256 {digest[:12]}...), and a "
        "build for another torch would crash",
        _INSTALL,
    )


def _check_chip(chip: str) -> None:
    if chip not in CHIPS:
        raise XliteUnavailableError(
            f"the chip is {chip or 'unknown'}, for which it has no kernels; it would compute "
            "nothing and report success",
            f"Use one of {', '.join(CHIPS)}",
        )


def _lacks(engine: Any) -> Iterable[str]:
    for owner, names in _NAMES.items():
        of = getattr(engine, owner, None)
        yield from (f"{owner}.{name}" for name in names if not hasattr(of, name))


def _check_round_trip(engine: Any) -> None:
    """Give the engine a tensor and take it back: it must be the same, and not be left behind."""
    tensor, before = torch.empty(2, 3), _native.count_copies()
    model = engine.Model()
    model.embed = tensor
    is_same, copies = model.embed is tensor, _native.count_copies() - before
    del model
    if not is_same or copies != 1 or _native.count_copies() != before:
        raise XliteUnavailableError("it does not give back the tensor that it was given", _INSTALL)
