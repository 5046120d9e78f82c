# SPDX-License-Identifier: Apache-2.0
"""The example of the README prints what it says."""

import re
from pathlib import Path

README = Path(__file__).parents[1] / "README.md"


def test_the_check_of_a_model_prints_what_the_readme_says(capsys):
    (example,) = re.findall(r"```python\n(# check.*?)```", README.read_text(), re.DOTALL)

    exec(compile(example, str(README), "exec"), {})

    assert capsys.readouterr().out == "--dtype float32\n--pipeline-parallel-size 2\n"
