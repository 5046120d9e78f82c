# SPDX-License-Identifier: Apache-2.0
import re
from pathlib import Path

README = Path(__file__).parents[1] / "README.md"


def test_the_example_of_the_readme_prints_what_it_says(capsys):
    (example,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)

    exec(compile(example, str(README), "exec"), {})

    assert capsys.readouterr().out == "--dtype float32\n--pipeline-parallel-size 2\n"
