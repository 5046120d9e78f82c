# SPDX-License-Identifier: Apache-2.0
"""vLLM's Python sources of a version, from its source package. Nothing of it is run."""

import tempfile
from pathlib import Path

from unearth import PackageFinder

__all__ = ["SourcesNotFoundError", "sources_of"]


class SourcesNotFoundError(LookupError):
    """The index has no source package of this version."""


def sources_of(version: str, index_url: str, cache: Path) -> Path:
    """Return the folder of the package `vllm` of a version; download it if it is not there.

    pip is not asked, for `pip download` runs a source package's own set-up.

    Parameters
    ----------
    version
        Such as "0.33.0".
    index_url
        A package index.
    cache
        Folder in which versions are kept.

    Raises
    ------
    SourcesNotFoundError
        If there is no such source package.
    """
    folder = cache / version / "vllm"
    if folder.is_dir():
        return folder
    finder = PackageFinder(index_urls=[index_url], no_binary=[":all:"])
    best = finder.find_best_match(f"vllm=={version}").best
    if best is None or best.link is None:
        raise SourcesNotFoundError(f"{index_url} has no source package of vllm {version}")
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as temporary:
        unpacked = finder.download_and_unpack(best.link, temporary, temporary)
        folder.parent.mkdir(exist_ok=True)
        (unpacked / "vllm").rename(folder)
    return folder
