# SPDX-License-Identifier: Apache-2.0
import platform
import sys

import pytest

from ascend_xlite_bridge import XliteEngineMissingError, XliteUnavailableError, xlite_version


def test_a_machine_without_a_wheel_is_told_so(monkeypatch):
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")

    with pytest.raises(XliteUnavailableError, match="this machine is x86_64"):
        xlite_version()


def test_an_aarch64_machine_without_the_library_is_told_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    monkeypatch.setattr(sys, "path", [str(tmp_path)])

    with pytest.raises(
        XliteUnavailableError, match=r"pip install \"ascend-xlite-bridge\[xlite\]\""
    ):
        xlite_version()


def test_the_installed_version_is_read_without_importing_it(monkeypatch, tmp_path):
    metadata = tmp_path / "xlite-0.2.0rc4.dist-info" / "METADATA"
    metadata.parent.mkdir()
    metadata.write_text("Metadata-Version: 2.1\nName: xlite\nVersion: 0.2.0rc4\n")
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    monkeypatch.syspath_prepend(tmp_path)

    assert xlite_version() == "0.2.0rc4"
    assert "xlite" not in sys.modules


def test_the_missing_engine_is_said_plainly():
    message = str(XliteEngineMissingError())

    assert "not in this version" in message
    assert "xlite_graph_config.enabled" in message
