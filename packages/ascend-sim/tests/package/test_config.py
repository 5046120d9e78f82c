# SPDX-License-Identifier: Apache-2.0
"""SimConfig: what it accepts, what it says otherwise, and its way through the environment."""

import dataclasses
import json

import pytest

from ascend_sim import ConfigError, SimConfig, parse_size


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("4096", 4096),
        ("1KiB", 1024),
        ("8GiB", 8 << 30),
        ("8gib", 8 << 30),
        (" 1.5 MiB ", 3 << 19),
        ("2TiB", 2 << 40),
    ],
)
def test_a_size_is_a_number_with_a_binary_unit(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "GiB", "8GB", "-1GiB", "8 GiB free", "1e9"])
def test_anything_else_is_no_size(text: str) -> None:
    with pytest.raises(ConfigError, match="KiB, MiB, GiB or TiB"):
        parse_size(text)


def test_the_default_is_one_910b3() -> None:
    config = SimConfig()
    assert (config.devices, config.soc) == (1, "Ascend910B3")
    assert (config.schedule, config.compute) == ("threads", "on")


@pytest.mark.parametrize(
    ("setting", "named"),
    [
        ({"devices": 0}, "devices=0 must be an integer from 1 to 16"),
        ({"devices": 17}, "from 1 to 16"),
        ({"devices": True}, "must be an integer"),
        ({"hbm_bytes": "8GiB"}, "must be an integer"),
        ({"streams": 0}, "from 1 to 32768"),
        ({"events": -1}, "from 1 to 65536"),
        ({"soc": "Ascend910B9"}, "did you mean 'Ascend910B"),
        ({"soc": "Ascend910A"}, "Ascend910_9391"),
        ({"tenants": ("stream=700",)}, "'stream=700' is not one of streams=, stream_ids="),
        ({"tenants": ("streams=many",)}, "streams: 'many' is not a number"),
        ({"tenants": ("streams=1,after=2",)}, "'2' is not a duration"),
        ({"tenants": ("after=2s",)}, "takes nothing"),
        ({"tenants": ("streams=1,steps=0",)}, "steps must be at least 1"),
        ({"tenants": 700}, "must be texts"),
        ({"partition": "cores=5"}, "'cores=5' is not one of aicore=, memory="),
        ({"partition": "aicore=0"}, "aicore='0' must be a number from 1 to 100"),
        ({"partition": "memory=1TiB"}, "memory must be from 1MiB to 8192MiB"),
        ({"partition": "policy=fair"}, "valid: fixed-share, elastic, best-effort"),
        ({"partition": "shm=a/b"}, "not a path"),
        ({"sq": "soft"}, "did you mean 'software'"),
        ({"schedule": "thread"}, "did you mean 'threads'"),
        ({"schedule": "chaos"}, "chaos:SEED"),
        ({"schedule": "chaos:-1"}, "chaos:SEED"),
        ({"schedule": f"chaos:{1 << 64}"}, "chaos:SEED"),
        ({"compute": "no"}, "on, off"),
        ({"limits": "none"}, "valid: device, off"),
        ({"numerics": "npus"}, "did you mean 'npu'"),
        ({"check": "races"}, "hazards=error"),
        ({"faults": ("fail:maloc",)}, "did you mean 'malloc'"),
    ],
)
def test_a_bad_value_is_refused_with_the_valid_ones_named(setting: dict, named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        SimConfig(**setting)


def test_an_unknown_setting_is_refused_with_the_nearest_named() -> None:
    with pytest.raises(ConfigError, match=r"unknown setting 'stream'; did you mean 'streams'\?"):
        SimConfig.from_mapping({"stream": 5})


def test_a_configuration_survives_the_way_through_the_environment(tmp_path) -> None:
    config = SimConfig(
        devices=2,
        soc="Ascend910_9391",
        hbm_bytes=123 << 20,
        streams=7,
        events=9,
        tenants=("streams=700,after=1.5s,steps=7,every=20ms", "hbm=1MiB"),
        partition="aicore=30,memory=64MiB,policy=best-effort",
        sq="hardware",
        schedule="inline",
        compute="off",
        limits="off",
        numerics="npu",
        check="hazards=error",
        faults=("fail:malloc",),
        timeline=str(tmp_path / "trace.json"),
        counters_dir=str(tmp_path / "zähler"),
    )
    assert SimConfig.from_env(config.to_env()) == config


def test_what_travels_is_a_flat_json_object_of_the_fields() -> None:
    (text,) = SimConfig().to_env().values()
    fields = {field.name for field in dataclasses.fields(SimConfig)}
    optional = {
        *("streams", "events", "tenants", "partition"),
        *("check", "faults", "timeline", "counters_dir"),
    }
    assert json.loads(text).keys() == fields - optional


def test_a_partition_limits_the_memory_of_the_device() -> None:
    config = SimConfig(hbm_bytes=8 << 30, partition="memory=2GiB")
    assert config.hbm_bytes == 2 << 30
    assert dataclasses.replace(config, devices=2) == SimConfig(
        devices=2, hbm_bytes=2 << 30, partition="memory=2GiB"
    )


def test_no_variable_means_the_default() -> None:
    assert SimConfig.from_env({}) == SimConfig()


@pytest.mark.parametrize(
    "text", ["devices=2", "[1]", '{"devices": "two"}', '{"device": 2}', '{"devices": 2.5}']
)
def test_a_bad_variable_is_named_in_the_error(text: str) -> None:
    with pytest.raises(ConfigError, match="ASCEND_SIM_CONFIG"):
        SimConfig.from_env({"ASCEND_SIM_CONFIG": text})


def test_the_counters_folder_does_not_depend_on_where_a_child_runs(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert SimConfig(counters_dir="counters").counters_dir == str(tmp_path / "counters")


def test_the_native_library_accepts_every_soc(python) -> None:
    """The list of chips stands in Python and in C++: they must be one list."""
    python(
        """
        import os, subprocess, sys
        import ascend_sim
        from ascend_sim._config import SOCS

        code = (
            "import ctypes, ascend_sim\\n"
            "acl = ctypes.CDLL(str(ascend_sim.library_path('libascendcl.so')))\\n"
            "acl.aclrtGetSocName.restype = ctypes.c_char_p\\n"
            "assert acl.aclInit(None) == 0\\n"
            "print(acl.aclrtGetSocName().decode())"
        )
        for soc in SOCS:
            env = os.environ | ascend_sim.SimConfig(soc=soc).to_env()
            run = subprocess.run([sys.executable, "-c", code], env=env, stdout=subprocess.PIPE)
            assert run.stdout.decode().strip() == soc, (soc, run)
        """
    )
