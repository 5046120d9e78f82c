# SPDX-License-Identifier: Apache-2.0
"""All automation. `nox -l` lists the sessions; the README names the two that a user needs."""

import argparse
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nox

sys.path.append(str(Path(__file__).parent))  # the command `nox` does not look in this folder
import torch_build
from support_matrix import DEFAULT as ROW
from support_matrix import ROWS, SIMULATED, Row

nox.needs_version = ">=2025.2.9"
nox.options.sessions = ["tests"]
nox.options.default_venv_backend = "virtualenv"  # uv does not read pip's find-links

ROOT = Path(__file__).parent
DIST = ROOT / "dist"
VENDOR_DIST = ROOT / ".cache" / "wheels"
"""Wheels of other projects that exist only as source; built once per checkout."""

PACKAGES = sorted(path.parent.name for path in ROOT.glob("packages/*/pyproject.toml"))
TORCH = ROW.torch_requirement  # `_install` knows where it is
BUILD_TOOLS = ("scikit-build-core>=1.1", "hatchling>=1.27", "editables", "cmake>=3.27", "ninja")
TEST_TOOLS = (
    *("pytest>=8", "pytest-xdist>=3", "hypothesis>=6"),
    *("psutil", "matplotlib>=3.8", "pyyaml>=6", "nox", "pyelftools"),
)
XLITE = "xlite==0.2.0rc4; python_version < '3.13'"
"""The engine's wheel, which is installed alone: it asks for nothing but some torch."""
RAY = "ray>=2.60"
"""For workers that Ray starts. vLLM does not ask for it."""
TORCHVISION = "torchvision==0.28.0"
"""For models that see. PyPI has none for the CPU; see `tests-integration/support/beside_cpu`."""
WHEEL_TOOLS = ("twine>=6", "check-wheel-contents>=0.6", "pyelftools")
DEMO_TOOLS = ("click>=8.1", "httpx>=0.27", "openai>=2", "platformdirs>=4", "rich>=13")
UPSTREAM_TOOLS = ("click>=8.1", "rich>=13", "unearth>=0.18")
PYTHON_SOURCES = (
    *("packages", "demo", "tests-integration", "benchmarks", "docs"),
    *("noxfile.py", "support_matrix.py", "torch_build.py", "wheel_checks.py"),
)

PYTHONS = ("3.11", "3.12", "3.13")
INTEGRATION_SUITES = tuple(
    f"tests-integration/{suite}" for suite in ("engine", "processes", "repository")
)
SIM_SUITES = ("package", "torch_npu", "ops", "runtime", "kernels", "hccl", "models")
# What a row has to prove that differs from the first one in vLLM alone.
VLLM_SUITES = (
    "tests-integration/engine/test_parity.py",
    "packages/ascend-vllm-plugin",
)
SPECS = {
    "operators": ("operators.py", ("op-plugin", "pytorch")),
    "limits": ("documented_limits.py", ("ops-math", "ops-nn", "ops-cv", "ops-transformer")),
}
"""Table of packages/ascend-sim/spec -> the program that writes it, and the checkouts it reads: of
Ascend's op-plugin and pytorch, and of CANN's operators."""
TORCHLESS_SUITES = tuple(
    f"packages/ascend-sim/{suite}" for suite in ("tests/runtime", "tests/hccl", "conformance")
)
SUITES_AT_A_TIME = 2  # each is a process, with simulated machines of its own
SANITIZERS = {"thread": "thread", "address": "address,undefined"}
RUNTIMES = {"thread": "libtsan", "address": "libasan"}
SANITIZED = ("ascendcl", "hccl", "hcomm")

# Of torch, whose headers alone a build reads, bytecode takes twice as long as the rest.
NO_BYTECODE = "--no-compile"

# torch's build and type information is wanted without torch_npu, whose autoload needs CANN.
NO_AUTOLOAD = {"TORCH_DEVICE_BACKEND_AUTOLOAD": "0"}


@nox.session
def wheels(session: nox.Session) -> None:
    """Build and check the wheel of every package, in dist/, and build vLLM's for the row."""
    row, _ = _row(session)
    _install(session, NO_BYTECODE, *BUILD_TOOLS, TORCH)
    shutil.rmtree(DIST, ignore_errors=True)
    build = ("python", "-m", "pip", "wheel", "--no-build-isolation", "--no-deps", "--quiet")
    for package in PACKAGES:
        session.run(*build, "-w", str(DIST), f"packages/{package}", env=NO_AUTOLOAD)
    _check_wheels(session)
    _build_vllm_wheel(session, row)


@nox.session
def vllm_wheels(session: nox.Session) -> None:
    """Build vLLM's device-less wheel of every simulated row that has none yet."""
    for row in SIMULATED.values():
        _build_vllm_wheel(session, row)


@nox.session(requires=["wheels"])
def demo(session: nox.Session) -> None:
    """Serve a small model in ACL graph mode on a simulated NPU and check its answers."""
    _install_product(session, *DEMO_TOOLS)
    session.run("ascend-sim", "run", "--", "python", "-m", "demo", *session.posargs)


@nox.session(requires=["wheels"])
def tests(session: nox.Session) -> None:
    """Run every package's tests and tests-integration; `-- --row NAME SUITE ...` for fewer."""
    row, suites = _row(session)
    _install_product(session, *TEST_TOOLS, *DEMO_TOOLS, *UPSTREAM_TOOLS, row=row)
    _install_torchvision(session, session.virtualenv.location)
    _run_suites(session, suites or _suites())


@nox.session(requires=["wheels", "vllm_wheels"])
@nox.parametrize("row", [nox.param(row, id=name) for name, row in SIMULATED.items()])
def matrix(session: nox.Session, row: Row) -> None:
    """Run the simulated rows: all suites on the first, what vLLM decides on the others."""
    _install_product(session, *TEST_TOOLS, *DEMO_TOOLS, *UPSTREAM_TOOLS, row=row)
    _install_torchvision(session, session.virtualenv.location)
    _run_suites(session, session.posargs or (_suites() if row is ROW else VLLM_SUITES))


@nox.session(python=PYTHONS, requires=["wheels"])
def unit(session: nox.Session) -> None:
    """Run what needs no vLLM on every Python; without torch, if it has none: `-p 3.12`."""
    ours = [str(wheel) for wheel in DIST.glob("*.whl") if "vllm" not in wheel.name]
    if _has_torch(session):
        _install(session, *ROW.product, *ours, *TEST_TOOLS, "transformers>=5")
        session.install("--no-deps", XLITE)
        need_vllm = (*INTEGRATION_SUITES, "packages/ascend-vllm-plugin")
        suites = [suite for suite in _suites() if suite not in need_vllm]
    else:
        session.warn(f"no {TORCH} for Python {session.python}: only what needs no torch is run")
        session.install("--no-deps", *ours)
        session.install("click>=8.1", "numpy", "pydantic>=2", *TEST_TOOLS)
        suites = TORCHLESS_SUITES
    _run_suites(session, session.posargs or suites)


@nox.session
def upstream(session: nox.Session) -> None:
    """List what became of each name of vLLM that the plugin uses: `-- 0.34.0 [--row NAME]`."""
    row, arguments = _row(session)
    session.install(*UPSTREAM_TOOLS)
    session.chdir("packages/ascend-vllm-plugin")
    against = ("--against", row.vllm, "--cache", str(ROOT / ".cache" / "vllm"))
    session.run("python", "-m", "upstream", *arguments, *against)


@nox.session(requires=["wheels"])
def conformance(session: nox.Session) -> None:
    """Hold a libascendcl against CANN's rules: the simulator's, or `-- --libascendcl PATH`."""
    _install_product(session, *TEST_TOOLS)
    session.run("python", "packages/ascend-sim/conformance", *session.posargs)


@nox.session(name="upstream-tests", requires=["wheels"])
def upstream_tests(session: nox.Session) -> None:
    """Run Ascend/pytorch's or op-plugin's own tests and compare: `-- PATH_TO_CHECKOUT`."""
    _install_product(session, *TEST_TOOLS, "expecttest", "parameterized")
    session.run("python", "packages/ascend-sim/runs/upstream.py", *session.posargs)


@nox.session(requires=["wheels"])
def hardware(session: nox.Session) -> None:
    """Run the suites on this host's NPU and report what differs; `-- --rehearse` without one."""
    _install_product(session, *TEST_TOOLS)
    environment = {"PATH": os.pathsep.join((session.bin, os.environ["PATH"]))}
    session.run("python", "packages/ascend-sim/runs/hardware.py", *session.posargs, env=environment)


@nox.session(requires=["wheels"])
def mutate(session: nox.Session) -> None:
    """Break rules of the runtime (or `-- operators`) and see the tests fail."""
    what, *rest = session.posargs or [""]
    folder = "packages/ascend-sim/conformance"
    if what == "operators":
        _install_product(session, *BUILD_TOOLS, *TEST_TOOLS)
        session.run("python", f"{folder}/mutate_operators.py", *rest)
        return
    _install(session, *BUILD_TOOLS, TORCH, *TEST_TOOLS)
    session.run("python", f"{folder}/mutate.py", *session.posargs)


@nox.session(requires=["wheels"])
def fuzz(session: nox.Session) -> None:
    """Call operators with anything: none may end the process; `-- --minutes 120`."""
    _install_product(session, *TEST_TOOLS)
    session.run("python", "packages/ascend-sim/fuzz", *session.posargs)


@nox.session(requires=["wheels"])
def bench(session: nox.Session) -> None:
    """Run the benchmarks, each beside its baseline; `-- NAME` runs one of them."""
    _install_product(session)
    names = session.posargs or sorted(p.stem for p in ROOT.glob("benchmarks/bench_*.py"))
    for name in names:
        session.run("python", f"benchmarks/{name}.py")


@nox.session(requires=["wheels"])
def chaos(session: nox.Session) -> None:
    """Serve the same requests under 1,000 seeds of the chaos schedule; `-- experts --seeds 20`."""
    _install_product(session, *TEST_TOOLS)
    command = ("ascend-sim", "run", "--", "python", "-m", "support.chaos", *session.posargs)
    sources = os.pathsep.join((str(ROOT / "tests-integration"), str(ROOT)))
    session.run(*command, env={"PYTHONPATH": sources})


@nox.session(requires=["wheels"])
def slow(session: nox.Session) -> None:
    """Run the tests that `tests` leaves out: engines that rarely tell anything new."""
    _install_product(session, *TEST_TOOLS, *DEMO_TOOLS, RAY)
    _install_torchvision(session, session.virtualenv.location)
    suites = session.posargs or ["tests-integration"]
    environment = {"PATH": os.pathsep.join((session.bin, os.environ["PATH"]))}
    session.run("python", "-m", "pytest", "-v", "-m", "slow", *suites, env=environment)


@nox.session(requires=["wheels"])
def chips(session: nox.Session) -> None:
    """Start an engine with default options on every chip that the simulator has."""
    _install_product(session, *TEST_TOOLS)
    test = "tests-integration/engine/test_chips.py"
    session.run("python", "-m", "pytest", "-m", "", test)


@nox.session(requires=["wheels"])
def xlite(session: nox.Session) -> None:
    """Run Xlite mode with each family, graph mode and number of devices."""
    _install_product(session, *TEST_TOOLS)
    _install_torchvision(session, session.virtualenv.location)
    tests = (
        "tests-integration/engine/test_xlite.py",
        "tests-integration/engine/test_xlite_vision.py",
    )
    session.run("python", "-m", "pytest", *tests, env={"ASCEND_TEST_XLITE": "all"})


@nox.session(requires=["wheels"])
def models(session: nox.Session) -> None:
    """Compare tiny models with transformers; `-- --record [NAME ...]` writes the results."""
    _install_product(session, *TEST_TOOLS)
    if session.posargs[:1] == ["--record"]:
        command = ("python", "-m", "support.model_runs", *session.posargs[1:])
        path = {"PYTHONPATH": str(ROOT / "tests-integration")}
        session.run("ascend-sim", "run", "--", *command, env=path)
        return
    test = "tests-integration/engine/test_models.py"
    session.run(
        *("python", "-m", "pytest", test, *session.posargs), env={"ASCEND_TEST_MODELS": "all"}
    )


@nox.session(requires=["wheels"])
def leaks(session: nox.Session) -> None:
    """Ten thousand captures, replays and destructions leave nothing behind; `-- ROUNDS`."""
    _install_product(session, *TEST_TOOLS)
    session.chdir("packages/ascend-sim")
    rounds = session.posargs[0] if session.posargs else "10000"
    test = "tests/runtime/test_leaks.py"
    session.run("python", "-m", "pytest", test, env={"ASCEND_SIM_LEAK_ROUNDS": rounds})


@nox.session(requires=["wheels"])
def sanitize(session: nox.Session) -> None:
    """Run what needs no torch on libraries built with sanitizers; `-- thread` or `-- address`."""
    simulator = map(str, DIST.glob("ascend_sim-*.whl"))
    _install(session, *BUILD_TOOLS, *ROW.product, *simulator, *TEST_TOOLS)
    source = ROOT / "packages" / "ascend-sim"
    (installed,) = Path(session.virtualenv.location).glob("lib/*/site-packages/ascend_sim/lib")
    for kind in session.posargs or SANITIZERS:
        build = Path(session.create_tmp()) / kind
        flags = SANITIZERS[kind]
        python = f"-DPython_EXECUTABLE={session.virtualenv.bin}/python"
        configure = ("cmake", "-S", str(source), "-B", str(build), "-G", "Ninja", python)
        session.run(*configure, f"-DASCEND_SIM_SANITIZE={flags}", "--log-level=WARNING")
        session.run("cmake", "--build", str(build), "--target", *SANITIZED)
        for name in SANITIZED:
            shutil.copy(build / f"lib{name}.so", installed)
        runtimes = [_library_of_gcc(session, name) for name in (RUNTIMES[kind], "libstdc++")]
        huge = "allocator_may_return_null=1"  # as malloc does, when bad input asks for too much
        environment = {
            "LD_PRELOAD": " ".join(runtimes),
            "PYTHONMALLOC": "malloc",  # a sanitizer must see where CPython uses memory again
            "TSAN_OPTIONS": f"exitcode=66:{huge}:suppressions={source}/sanitize/thread.supp",
            "ASAN_OPTIONS": f"{huge}:detect_leaks=0",  # CPython's own; `nox -s leaks` counts ours
            "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1",
        }
        for suite in ("conformance", "tests/runtime", "tests/hccl"):
            # Without randomised addresses, which ThreadSanitizer of GCC 12 cannot always cope with.
            command = ("setarch", "-R", "python", "-m", "pytest", str(source / suite))
            shown = "--capture=sys"  # the descriptor that a sanitizer reports to is left alone
            # It measures memory, and a sanitizer keeps what is freed.
            without = ("--ignore", f"{source}/tests/runtime/test_leaks.py")
            session.run(*command, shown, *without, env=environment, external=True)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and layout; `-- --fix` repairs what it can."""
    session.install("ruff>=0.14", "clang-format>=20")
    fix = "--fix" in session.posargs
    sources = [source for source in PYTHON_SOURCES if (ROOT / source).exists()]
    session.run("ruff", "check", *(["--fix"] if fix else []), *sources)
    session.run("ruff", "format", *([] if fix else ["--check"]), *sources)
    native = sorted(str(p) for s in ("cpp", "h") for p in ROOT.glob(f"packages/*/csrc/**/*.{s}"))
    session.run("clang-format", *(["-i"] if fix else ["--dry-run", "--Werror"]), *native)


@nox.session
def types(session: nox.Session) -> None:
    """Check the types of every package's sources, and of the conformance suite, with mypy."""
    _install(
        session, "mypy>=1.18", TORCH, "click", "pydantic>=2", "numpy", "pytest>=8", "safetensors"
    )
    sources = [str(ROOT / "packages" / package / "src") for package in PACKAGES]
    sources.append(str(ROOT / "packages/ascend-sim/conformance"))
    env = NO_AUTOLOAD | {"MYPYPATH": os.pathsep.join(sources)}
    session.run("mypy", *sources, env=env)


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation into docs/_build; a warning is an error."""
    session.install("-r", "docs/requirements.txt")
    session.run("sphinx-build", "-W", "--keep-going", "-b", "html", "docs", "docs/_build/html")


@nox.session
def generate(session: nox.Session) -> None:
    """Write a spec of ascend-sim from checkouts of its sources: `-- limits PATH ...`."""
    spec, *checkouts = session.posargs or [""]
    if spec not in SPECS or tuple(Path(path).name for path in checkouts) != SPECS[spec][1]:
        made = [f"  {name} {' '.join(f'PATH/{s}' for s in SPECS[name][1])}" for name in SPECS]
        session.error("\n".join(("name a spec and the checkouts that it is made from:", *made)))
    program = f"packages/ascend-sim/generator/{SPECS[spec][0]}"
    _install(session, *ROW.product, "beautifulsoup4", "pyyaml")
    session.run("python", program, *checkouts)


@nox.session(requires=["wheels"])
def dev(session: nox.Session) -> None:
    """Make .venv with every package editable and all tools, for work on the code."""
    session.install("virtualenv")
    session.run("virtualenv", "--quiet", "--prompt", "ascend", ".venv")
    python = str(ROOT / ".venv/bin/python")
    pip = (python, "-m", "pip", "install", "--quiet")
    tools = (
        *BUILD_TOOLS,
        *TEST_TOOLS,
        *DEMO_TOOLS,
        *UPSTREAM_TOOLS,
        "nox",
        "ruff",
        "mypy",
        "clang-format",
        "pre-commit",
    )
    _install_torch(session, python, ROW.product)
    session.run(*pip, *tools, *ROW.product, *_vllm_wheels(ROW), external=True)
    editable = [argument for p in PACKAGES for argument in ("-e", f"packages/{p}")]
    session.run(*pip, "--no-build-isolation", *editable, external=True, env=NO_AUTOLOAD)
    session.run(*pip, "--no-deps", XLITE, external=True)
    _install_torchvision(session, str(ROOT / ".venv"))
    session.log("ready: `. .venv/bin/activate`, then `ascend-sim run -- python ...`")


@nox.session(venv_backend="none")
def release(session: nox.Session) -> None:
    """Check that a release tag and its package's version agree: `-- ascend-core-v0.1.0`."""
    for tag in session.posargs or session.error("name a tag, such as ascend-core-v0.1.0"):
        package, _, version = tag.rpartition("-v")
        if package not in PACKAGES:
            session.error(f"{tag}: no package {package!r}; there are {', '.join(PACKAGES)}")
        source = ROOT / "packages" / package / "src" / package.replace("-", "_") / "_version.py"
        stated = re.search(r'__version__ = "(.+)"', source.read_text())
        if stated is None or stated[1] != version:
            session.error(f"{tag} does not agree with {source.relative_to(ROOT)}")


def _library_of_gcc(session: nox.Session, library: str) -> str:
    """Path of one of the compiler's run-time libraries."""
    path = session.run("gcc", f"-print-file-name={library}.so", silent=True, external=True)
    return str(path).strip()


def _row(session: nox.Session) -> tuple[Row, list[str]]:
    """Return the row named by `--row`, the first one without, and the other arguments."""
    parser = argparse.ArgumentParser(prog="nox -s tests --", add_help=False, allow_abbrev=False)
    parser.add_argument("--row", default=ROW.name)
    options, others = parser.parse_known_args(session.posargs)
    row = ROWS.get(options.row)
    if row is None:
        session.error(f"no row {options.row!r}; there are {', '.join(ROWS)}")
    if row.status == "planned":
        session.error(f"row {row.name} is planned: {row.reason}")
    return row, others


def _suites() -> list[str]:
    """Folders of tests, each for a process of its own.

    A simulator is activated once per process, and the tests of the runtime reset devices that torch
    would be using: the suites of ascend-sim are folders of their own.
    """
    packages = [f"packages/{package}" for package in PACKAGES if package != "ascend-sim"]
    sim = [f"packages/ascend-sim/tests/{suite}" for suite in SIM_SUITES]
    # The longest ones first: the others run at the same time.
    return [*INTEGRATION_SUITES, *sim, *packages, "packages/ascend-sim/conformance"]


def _run_suites(session: nox.Session, suites: Sequence[str]) -> None:
    with ThreadPoolExecutor(SUITES_AT_A_TIME) as pool:
        faults = list(pool.map(lambda suite: _faults(session, suite), suites))
    failed = [fault for of_suite in faults for fault in of_suite]
    if failed:
        session.error("\n".join(("failed:", *failed)))


def _faults(session: nox.Session, suite: str) -> list[str]:
    """Run a suite, print its lines as they come, and return what pytest's summary says failed."""
    # Threads of OpenMP wait by spinning: more of them than there are cores slow each other down.
    threads = max(1, (os.cpu_count() or 1) // SUITES_AT_A_TIME)
    environment = {"OMP_NUM_THREADS": str(threads), **os.environ}
    environment["PATH"] = os.pathsep.join((session.bin, os.environ["PATH"]))
    verbose = ("-v",) if suite.startswith("tests-integration") else ()  # many seconds a test
    command = (f"{session.bin}/python", "-m", "pytest", *verbose, suite)
    faults = []
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(f"{suite}: {line}", end="", flush=True)
            if line.startswith(("FAILED ", "ERROR ")):
                faults.append(f"{suite}: {line.rstrip()}")
    if process.returncode != 0:
        faults.append(f"{suite}: pytest ended with {process.returncode}")
    return faults


def _install(session: nox.Session, *requirements: str) -> None:
    """Install requirements, one of which is torch; torch comes first, on its own."""
    _install_torch(session, f"{session.bin}/python", requirements)
    session.install(*requirements)


_pip_has_torch: dict[tuple[str, object], bool] = {}
"""pip's answer per requirement and version of Python: it is asked once in a run of nox."""


def _has_torch(session: nox.Session) -> bool:
    python = f"{session.bin}/python"
    fallback = torch_build.index_options(torch_build.fallback_index())
    return torch_build.is_found(python, TORCH) or torch_build.is_found(python, TORCH, *fallback)


def _install_torch(session: nox.Session, python: str, requirements: Iterable[str]) -> None:
    """Install the pinned torch from PyTorch's index, unless pip, as configured, finds it."""
    (torch,) = (r for r in requirements if r.startswith("torch=="))
    installed = f"lib/*/site-packages/{torch.replace('==', '-')}.dist-info"
    if any(Path(python).parents[1].glob(installed)):
        return  # in an environment that is used again
    question = (torch, session.python)
    if question not in _pip_has_torch:
        _pip_has_torch[question] = torch_build.is_found(python, torch)
    if _pip_has_torch[question]:
        return
    index = torch_build.fallback_index()
    session.log(f"pip, as configured, finds no {torch}: it alone comes from {index}")
    install = (python, "-m", "pip", "install", "--quiet", "--no-deps")
    try:
        session.run_install(*install, *torch_build.index_options(index), torch, external=True)
    except nox.command.CommandFailed:
        session.error(torch_build.advice(torch, index))


def _install_product(session: nox.Session, *more: str, row: Row = ROW) -> None:
    """Install the wheels by path, so that no index package of the same name can be chosen."""
    ours = [str(wheel) for wheel in sorted(DIST.glob("*.whl"))]
    _install(session, *row.product, *ours, *_vllm_wheels(row), *more)
    # In an environment that is used again (nox -r), wheels of the same version are new ones.
    session.install("--force-reinstall", "--no-deps", *ours)
    session.install("--no-deps", XLITE)


def _install_torchvision(session: nox.Session, environment: str) -> None:
    """Install torchvision in a folder beside the packages, where only some tests look for it."""
    folder = Path(environment, "opt", "torchvision")
    if not folder.exists():
        pip = (f"{environment}/bin/python", "-m", "pip", "install", "--quiet")
        session.run_install(*pip, "--no-deps", "--target", folder, TORCHVISION, external=True)


def _vllm_wheels(row: Row) -> list[str]:
    return [str(path) for path in VENDOR_DIST.glob(f"vllm-{row.vllm}-*.whl")]


def _check_wheels(session: nox.Session) -> None:
    session.install(NO_BYTECODE, *WHEEL_TOOLS)
    built = [str(wheel) for wheel in sorted(DIST.glob("*.whl"))]
    session.run("twine", "check", "--strict", *built)
    # Of ascend-sim. W002, equal files: a CANN has the same version.info in several folders.
    # W009, two packages at the top: its plugin for pytest must not import the simulator.
    session.run("check-wheel-contents", "--no-config", "--ignore", "W002,W009", *built)
    session.run("python", "wheel_checks.py", *built)


def _build_vllm_wheel(session: nox.Session, row: Row) -> None:
    """Build vLLM from its source package: its only wheels are for other devices.

    Without isolation: its build imports some torch, and may ask for another one than the row has.
    """
    if _vllm_wheels(row):
        return
    _install(session, NO_BYTECODE, row.torch_requirement)
    session.install("setuptools>=77.0.3,<81", "setuptools-scm>=8", "setuptools-rust>=1.9", "jinja2")
    environment = NO_AUTOLOAD | {
        "VLLM_TARGET_DEVICE": "empty",
        "VLLM_SKIP_VERSION_SUFFIX": "1",  # pip refuses a build whose version gains "+empty"
        "CARGO": str(ROOT / "no-cargo"),  # the Rust front end is optional and takes long to build
    }
    session.run(
        *("python", "-m", "pip", "wheel", "--no-build-isolation", "--no-deps", "--quiet"),
        *("--no-binary", "vllm", "-w", str(VENDOR_DIST), f"vllm=={row.vllm}"),
        env=environment,
    )
