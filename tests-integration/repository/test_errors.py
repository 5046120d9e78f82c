# SPDX-License-Identifier: Apache-2.0
"""What the errors of all packages have in common: their base and their names.

Read from the sources: importing every module would start half of vLLM.
"""

import ast
import builtins
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest
from ascend_core.errors import AclError

BASES = {
    "ascend_core": "AscendError",
    "ascend_ops": "AscendError",
    "ascend_aclgraph": "AscendError",
    "ascend_xlite_bridge": "AscendError",
    "ascend_vllm_plugin": "AscendError",
    "ascend_sim": "SimError",  # stands alone, as CANN does
}
WITHOUT_ERRORS = {"ascend_vllm_plugin"}
"""Packages that raise those of the packages below."""
GENERAL = {"BaseException", "Exception"}
BUILTIN = {
    name
    for name, value in vars(builtins).items()
    if isinstance(value, type) and issubclass(value, BaseException)
} - GENERAL
# What Python itself raises for a bug in the calling code.
OF_THE_LANGUAGE = {"AssertionError", "KeyError", "TypeError"}


@cache
def nodes(package: str) -> tuple[ast.AST, ...]:
    """Syntax of a package's modules."""
    spec = find_spec(package)
    assert spec is not None
    folders = map(Path, spec.submodule_search_locations or ())
    files = [file for folder in folders for file in folder.rglob("*.py")]
    return tuple(node for file in files for node in ast.walk(ast.parse(file.read_text())))


@cache
def classes() -> dict[str, tuple[str, ...]]:
    """Names of the bases of each class in any package."""
    return {
        node.name: tuple(base.id for base in node.bases if isinstance(base, ast.Name))
        for package in BASES
        for node in nodes(package)
        if isinstance(node, ast.ClassDef)
    }


def ancestors(name: str) -> set[str]:
    """Names of a class and of all classes that it derives from."""
    return {name}.union(*map(ancestors, classes().get(name, ())))


def errors(package: str) -> list[str]:
    """Names of the exceptions that a package defines."""
    names = [node.name for node in nodes(package) if isinstance(node, ast.ClassDef)]
    return [name for name in names if ancestors(name) & (BUILTIN | GENERAL)]


@pytest.mark.parametrize("package", BASES)
def test_every_error_derives_from_the_base_that_says_so(package: str) -> None:
    assert bool(errors(package)) != (package in WITHOUT_ERRORS)
    assert [name for name in errors(package) if BASES[package] not in ancestors(name)] == []


@pytest.mark.parametrize("package", BASES)
def test_every_error_is_also_the_builtin_one_that_fits(package: str) -> None:
    """So that `except ValueError` and the like catch it, as users of any library expect."""
    plain = {name for name in errors(package) if not ancestors(name) & BUILTIN}
    assert plain - {BASES[package]} == set()


@pytest.mark.parametrize("package", BASES)
def test_names_end_in_error_except_those_of_families_of_codes(package: str) -> None:
    odd = {name for name in errors(package) if not name.endswith("Error")}
    assert odd - {family.__name__ for family in AclError.__subclasses__()} == set()


def test_a_family_of_codes_is_called_after_what_went_wrong() -> None:
    families = {error.family: error.__name__ for error in AclError.__subclasses__() if error.family}
    for family, name in families.items():
        words = family.name.title().replace("_", "")
        assert name in (f"Acl{words}", f"Acl{words}Error")


@pytest.mark.parametrize("package", [name for name in BASES if name != "ascend_sim"])
def test_no_builtin_error_is_raised_on_purpose(package: str) -> None:
    raised = [node.exc for node in nodes(package) if isinstance(node, ast.Raise)]
    called = [error.func if isinstance(error, ast.Call) else error for error in raised]
    names = {error.id for error in called if isinstance(error, ast.Name)}
    assert names & (BUILTIN | GENERAL) - OF_THE_LANGUAGE == set()
