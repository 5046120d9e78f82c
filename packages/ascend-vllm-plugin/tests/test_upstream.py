# SPDX-License-Identifier: Apache-2.0
"""The comparison of versions of vLLM, on small source trees and on the installed one."""

import io
import tarfile
from importlib.util import find_spec
from pathlib import Path
from textwrap import dedent

import pytest
from rich.console import Console

from upstream.compare import Fate, Outcome, compare
from upstream.download import SourcesNotFoundError, sources_of
from upstream.report import summary, table
from upstream.tree import SourceTree
from upstream.uses import find_uses

PLUGIN = Path(__file__).parents[1] / "src" / "ascend_vllm_plugin"

OLD = {
    "__init__.py": "",
    "config/__init__.py": "from vllm.config.main import *",
    "config/main.py": """
        class CacheConfig:
            block_size: int = 16
        class MainConfig:
            cache: CacheConfig
            limit: int = 1
            def check(self): return self.limit
    """,
    "envs.py": "if TYPE_CHECKING:\n    VLLM_PORT: int = 0\n",
    "base.py": """
        class Base:
            def __init__(self, config): self.config = config
            def inherited(self): ...
    """,
    "worker.py": """
        from vllm.base import Base
        from .ops import warm_up
        class Worker(Base):
            def start(self, device): ...
            def stop(self): ...
    """,
    "ops.py": """
        class Kernel:
            @staticmethod
            def launch(rows, columns): ...
        def warm_up(worker):
            \"\"\"Warm up.\"\"\"
            return 1  # a comment
    """,
}
USER = """
    from vllm.config import MainConfig
    from vllm import worker
    from vllm.worker import Worker

    class NpuWorker(Worker):
        def start(self, device):
            super().start(device)
            self.inherited()
            self.config.anything
        def own(self):
            return self.start

    def prepare(config: "MainConfig | None"):
        os.environ["VLLM_PORT"] = "1"
        cache, limit = config.cache, config.limit
        cache.block_size = 32
        worker.warm_up = None
        register("vllm.ops.Kernel.launch")
        logger = get_logger("vllm.not a name")
"""


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(dedent(text))
    return folder


def outcomes_of(tmp_path: Path, changes: dict[str, str], user: str = USER) -> dict[str, Outcome]:
    """Fates of what `user` uses when some files of the old vLLM change, by name."""
    old = write(tmp_path / "old", OLD)
    new = write(tmp_path / "new", {**OLD, **changes})
    plugin = write(tmp_path / "npu", {"__init__.py": "", "code.py": user})
    uses = find_uses(SourceTree({"vllm": old, "npu": plugin}), "npu", plugin)
    outcomes = compare(uses, SourceTree({"vllm": old}), SourceTree({"vllm": new}))
    return {outcome.use.name: outcome for outcome in outcomes}


def fates(outcomes: dict[str, Outcome]) -> dict[str, Fate]:
    return {name: each.fate for name, each in outcomes.items() if each.fate is not Fate.SAME}


def test_every_way_to_use_a_name_is_found(tmp_path: Path) -> None:
    outcomes = outcomes_of(tmp_path, {})

    assert {name: outcome.use.how for name, outcome in outcomes.items()} == {
        "vllm.config.MainConfig": ("imports",),
        "vllm.config.main.CacheConfig.block_size": ("assigns",),
        "vllm.config.main.MainConfig.cache": ("reads",),
        "vllm.config.main.MainConfig.limit": ("reads",),
        "vllm.envs.VLLM_PORT": ("names",),
        "vllm.ops.Kernel.launch": ("names",),
        "vllm.worker": ("imports",),
        "vllm.worker.Worker": ("imports",),
        "vllm.worker.Worker.config": ("reads",),
        "vllm.worker.Worker.inherited": ("reads",),
        "vllm.worker.Worker.start": ("overrides", "reads"),
        "vllm.worker.warm_up": ("replaces",),
    }


def test_a_version_is_the_same_as_itself(tmp_path: Path) -> None:
    assert fates(outcomes_of(tmp_path, {})) == {}


def test_what_no_user_uses_may_change(tmp_path: Path) -> None:
    changed = OLD["worker.py"].replace("def stop(self)", "def halt(self)")

    assert fates(outcomes_of(tmp_path, {"worker.py": changed})) == {}


def test_comments_and_docstrings_are_no_change(tmp_path: Path) -> None:
    changed = OLD["ops.py"].replace("Warm up.", "Warm it up.").replace("  # a comment", "")

    assert fates(outcomes_of(tmp_path, {"ops.py": changed})) == {}


def test_a_changed_body_is_told_from_a_changed_signature(tmp_path: Path) -> None:
    changed = OLD["ops.py"].replace("return 1", "return 2").replace("columns", "columns, block=1")

    outcomes = outcomes_of(tmp_path, {"ops.py": changed})

    assert fates(outcomes) == {
        "vllm.worker.warm_up": Fate.BODY,
        "vllm.ops.Kernel.launch": Fate.SIGNATURE,
    }
    assert outcomes["vllm.worker.warm_up"].detail == "body: -1 +1 lines"
    assert outcomes["vllm.ops.Kernel.launch"].detail == "+ block = 1"


@pytest.mark.parametrize(
    ("file", "old", "new", "name"),
    [
        ("base.py", "def inherited", "def renamed", "vllm.worker.Worker.inherited"),
        ("worker.py", "def start", "def begin", "vllm.worker.Worker.start"),
        ("worker.py", "from .ops import warm_up", "", "vllm.worker.warm_up"),
        ("ops.py", "def launch", "def run", "vllm.ops.Kernel.launch"),
        ("envs.py", "VLLM_PORT", "VLLM_PORTS", "vllm.envs.VLLM_PORT"),
        ("config/main.py", "limit: int", "most: int", "vllm.config.main.MainConfig.limit"),
    ],
)
def test_what_was_renamed_is_gone(tmp_path: Path, file: str, old: str, new: str, name: str) -> None:
    outcomes = outcomes_of(tmp_path, {file: OLD[file].replace(old, new)})

    assert fates(outcomes) == {name: Fate.GONE}


def test_what_is_in_another_module_has_moved_with_its_members(tmp_path: Path) -> None:
    kernel, warm_up = dedent(OLD["ops.py"]).split("def warm_up")
    changes = {"kernels.py": kernel, "ops.py": "def warm_up" + warm_up}

    outcomes = outcomes_of(tmp_path, changes)

    assert fates(outcomes) == {"vllm.ops.Kernel.launch": Fate.MOVED}
    assert outcomes["vllm.ops.Kernel.launch"].detail == "to vllm.kernels.Kernel.launch"


def test_a_method_of_the_plugin_that_vllm_now_has_is_new(tmp_path: Path) -> None:
    changed = OLD["base.py"].replace(
        "def inherited", "def own(self, now): ...\n            def inherited"
    )

    outcomes = outcomes_of(tmp_path, {"base.py": changed})

    assert fates(outcomes) == {"vllm.worker.Worker.own": Fate.NEW}
    assert outcomes["vllm.worker.Worker.own"].detail == "+ self\n+ now"


def test_a_name_that_was_never_there_is_said_to_be(tmp_path: Path) -> None:
    outcomes = outcomes_of(tmp_path, {}, 'name = "vllm.ops.Kernels"')

    assert fates(outcomes) == {"vllm.ops.Kernels": Fate.UNKNOWN}


def test_the_table_shows_what_needs_work_first(tmp_path: Path) -> None:
    changed = OLD["worker.py"].replace("def start", "def begin")
    outcomes = list(outcomes_of(tmp_path, {"worker.py": changed}).values())
    text = io.StringIO()

    Console(file=text, width=200).print(table(outcomes, "vLLM 2 against 1"))

    first = next(line for line in text.getvalue().splitlines() if "vllm." in line)
    assert "gone" in first
    assert "vllm.worker.Worker.start" in first
    assert "code.py:7" in first
    assert summary(outcomes) == f"{len(outcomes)} names: 1 gone, {len(outcomes) - 1} same"


def test_all_that_the_plugin_uses_is_in_the_installed_vllm() -> None:
    found = find_spec("vllm")
    assert found is not None
    vllm = Path(found.origin).parent
    tree = SourceTree({"vllm": vllm, "ascend_vllm_plugin": PLUGIN})

    uses = find_uses(tree, "ascend_vllm_plugin", PLUGIN)
    outcomes = compare(uses, tree, tree)

    assert [each for each in outcomes if each.fate is not Fate.SAME] == []
    assert {
        ("vllm.v1.worker.gpu_worker.Worker._init_workspace_and_model_runner", "reads"),
        ("vllm.v1.worker.gpu_worker.Worker._make_model_runner", "overrides"),
        ("vllm.v1.worker.gpu_worker.kernel_warmup", "replaces"),
        ("vllm.v1.worker.gpu_model_runner.CUDAGraphWrapper", "replaces"),
        ("vllm.v1.worker.block_table.ComputeSlotMappingKernel.kernel", "names"),
        ("vllm.platforms.interface.Platform.opaque_attention_op", "overrides"),
        ("vllm.envs.VLLM_USE_V2_MODEL_RUNNER", "names"),
    } <= {(use.name, way) for use in uses for way in use.how}


def index_with(folder: Path, version: str) -> str:
    """Make a package index with a source package whose set-up must not run."""
    page = folder / "simple" / "vllm" / "index.html"
    page.parent.mkdir(parents=True)
    archive = f"vllm-{version}.tar.gz"
    page.write_text(f'<a href="{archive}">{archive}</a>')
    files = {"setup.py": "raise SystemExit('was run')", "vllm/__init__.py": "here = True"}
    with tarfile.open(page.with_name(archive), "w:gz") as tar:
        for name, text in files.items():
            member = tarfile.TarInfo(f"vllm-{version}/{name}")
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text.encode()))
    return (folder / "simple").as_uri()


def test_sources_come_from_the_index_once(tmp_path: Path) -> None:
    index = index_with(tmp_path, "0.1.0")

    folder = sources_of("0.1.0", index, tmp_path / "cache")
    again = sources_of("0.1.0", "https://nowhere.invalid/simple", tmp_path / "cache")

    assert (folder / "__init__.py").read_text() == "here = True"
    assert again == folder


def test_a_version_without_a_source_package_is_an_error(tmp_path: Path) -> None:
    index = index_with(tmp_path, "0.1.0")

    with pytest.raises(SourcesNotFoundError, match=r"no source package of vllm 0\.2\.0"):
        sources_of("0.2.0", index, tmp_path / "cache")
