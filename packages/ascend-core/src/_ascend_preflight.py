# SPDX-License-Identifier: Apache-2.0
"""Says why torch_npu cannot be imported. `ascend_core_preflight.pth` loads it as Python starts.

torch imports torch_npu while it is imported itself, so on a machine without libascendcl, or with a
torch_npu that was built for another torch, a program dies in the dynamic loader before any code of
the ascend packages runs. What would fail anyway fails here, with what to do about it.
"""

import sys
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

__all__: list[str] = []


class _Preflight:
    """A finder that puts a check before the body of torch_npu. Finding alone never fails."""

    @staticmethod
    def find_spec(name: str, path: Any = None, _target: Any = None) -> ModuleSpec | None:
        if name != "torch_npu":
            return None
        spec = PathFinder.find_spec(name, path)
        if spec is None or spec.loader is None:
            return spec
        run_body = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            from ascend_core import acl, versions

            versions.check_pair()
            acl.library()
            run_body(module)

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


sys.meta_path.insert(0, _Preflight)
