# SPDX-License-Identifier: Apache-2.0
"""Sphinx configuration of the documentation."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent))  # generated_pages, stand_ins
import stand_ins

stand_ins.install()

project = "Ascend graph mode"
author = "the Ascend graph mode developers"
extensions = ["generated_pages", "myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build", "requirements.txt"]
html_theme = "furo"
myst_heading_anchors = 3

nitpicky = True
# Names of other projects, of private modules and of type variables have no page here.
nitpick_ignore_regex = [("py:.*", r"(?!ascend_|pytest_ascend_sim).*|.*\._.*|.*\.[A-Z]")]

# A name that a package exports from one of its modules has a target in both.
suppress_warnings = ["ref.python"]

autodoc_mock_imports = stand_ins.MOCKED
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
napoleon_google_docstring = False
napoleon_preprocess_types = True
