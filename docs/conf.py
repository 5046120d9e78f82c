# SPDX-License-Identifier: Apache-2.0
"""Sphinx configuration of the documentation."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent))  # generated_pages

project = "Ascend graph mode"
author = "the Ascend graph mode developers"
extensions = ["generated_pages", "myst_parser"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build", "requirements.txt"]
html_theme = "furo"
myst_heading_anchors = 3
nitpicky = True
