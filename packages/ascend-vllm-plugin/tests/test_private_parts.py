# SPDX-License-Identifier: Apache-2.0
"""Only `compat` touches private parts of vLLM, or replaces parts of another package."""

import ast
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from upstream.tree import SourceTree
from upstream.uses import occurrences

PACKAGE = "ascend_vllm_plugin"
SOURCES = Path(__file__).parents[1] / "src" / PACKAGE
COMPAT = Path("compat")

DOCUMENTED = {
    "vllm.platforms.interface.Platform._enum",
    "vllm.v1.attention.backend.AttentionMetadataBuilder._cudagraph_support",
}
"""Private by name only: vLLM's documentation asks a plugin to set them."""


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.endswith("__")


def vllm() -> Path:
    spec = find_spec("vllm")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


def known_touches(folder: Path) -> Iterator[tuple[Path, int, str]]:
    """Touches of what the reader of `upstream` knows to be vLLM's, inherited names included."""
    tree = SourceTree({"vllm": vllm(), PACKAGE: folder})
    for use in occurrences(tree, PACKAGE, folder):
        parts = use.name.split(".")
        private = is_private(parts[-1]) or (use.how == "imports" and any(map(is_private, parts)))
        # A class of the plugin may have private names of its own.
        is_touch = private and use.name not in DOCUMENTED and tree.find(use.name)
        if is_touch or use.how == "replaces":
            yield use.file, use.line, use.name


def other_touches(folder: Path) -> Iterator[tuple[Path, int, str]]:
    """Private attributes of anything else that is not the plugin's own, and ways around a name."""
    modules = {file: ast.parse(file.read_text()) for file in folder.rglob("*.py")}
    own = {name for module in modules.values() for name in bound(module)}
    for file, module in modules.items():
        imported = {name for node in ast.walk(module) for name in foreign_imports(node)}
        for node in ast.walk(module):
            match node:
                case ast.Attribute(value=ast.Name(id=name), attr=attribute) if name in imported:
                    if isinstance(node.ctx, ast.Store):
                        yield file.relative_to(folder), node.lineno, f"{name}.{attribute} ="
                case ast.Attribute(attr=attribute) if (
                    is_private(attribute) and attribute not in own
                ):
                    yield file.relative_to(folder), node.lineno, attribute
                case ast.Call(func=ast.Name(id="setattr" | "delattr" as function)):
                    yield file.relative_to(folder), node.lineno, function
                case ast.Call(func=ast.Name(id="getattr"), args=[_, ast.Constant(value=name), *_]):
                    if is_private(name):
                        yield file.relative_to(folder), node.lineno, name


def bound(module: ast.Module) -> Iterator[str]:
    """Names that a module defines, and attributes that its classes set."""
    for node in ast.walk(module):
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
            case ast.Name(id=name, ctx=ast.Store()):
                yield name
            case ast.Attribute(value=ast.Name(id="self"), attr=name, ctx=ast.Store()):
                yield name


def foreign_imports(node: ast.AST) -> Iterator[str]:
    """Names that an import binds to something of other packages than vLLM and the plugin."""
    known = (PACKAGE, "vllm")
    match node:
        case ast.Import(names=names):
            yield from (alias.asname or alias.name.partition(".")[0] for alias in names)
        case ast.ImportFrom(module=str(module), names=names) if not module.startswith(known):
            yield from (alias.asname or alias.name for alias in names)


def touches(folder: Path) -> set[str]:
    found = {*known_touches(folder), *other_touches(folder)}
    return {
        f"{file}:{line}: {what}" for file, line, what in found if not file.is_relative_to(COMPAT)
    }


def test_only_compat_touches_private_parts() -> None:
    assert touches(SOURCES) == set()


@pytest.mark.parametrize(
    ("source", "name"),
    [
        (
            "from vllm.profiler.wrapper import _SUPPORTED_PROFILER_KINDS",
            "vllm.profiler.wrapper._SUPPORTED_PROFILER_KINDS",
        ),
        ("from vllm import _custom_ops", "vllm._custom_ops"),
        (
            "from vllm.v1.worker import gpu_worker\ngpu_worker.kernel_warmup = None",
            "vllm.v1.worker.gpu_worker.kernel_warmup",
        ),
        (
            "from vllm.config import VllmConfig\nVllmConfig.__post_init__ = None",
            "vllm.config.VllmConfig.__post_init__",
        ),
        (
            "from vllm.v1.worker.gpu_worker import Worker\n"
            "class NpuWorker(Worker):\n    def _make_model_runner(self): ...",
            "vllm.v1.worker.gpu_worker.Worker._make_model_runner",
        ),
        (
            "from vllm.v1.worker.gpu_worker import Worker\n"
            "class NpuWorker(Worker):\n    def f(self): self._init_workspace_and_model_runner()",
            "vllm.v1.worker.gpu_worker.Worker._init_workspace_and_model_runner",
        ),
        ("def f(layer): layer._table", "_table"),
        ("def f(layer): getattr(layer, '_table', None)", "_table"),
        ("def f(layer): setattr(layer, 'table', None)", "setattr"),
        ("import torch\ntorch.cuda = None", "torch.cuda ="),
    ],
)
def test_a_touch_is_found(source: str, name: str, tmp_path: Path) -> None:
    (tmp_path / "__init__.py").touch()
    (tmp_path / "code.py").write_text(source)
    assert name in {touch.rpartition(": ")[2] for touch in touches(tmp_path)}


def test_private_names_of_the_plugin_are_its_own(tmp_path: Path) -> None:
    (tmp_path / "__init__.py").touch()
    (tmp_path / "code.py").write_text(
        "from vllm.v1.worker.gpu_worker import Worker\n"
        "class NpuWorker(Worker):\n"
        "    def _own(self): self._reserve = 0\n"
        "    def f(self): return self._own(), self._reserve"
    )
    assert touches(tmp_path) == set()
