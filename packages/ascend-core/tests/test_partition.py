# SPDX-License-Identifier: Apache-2.0
import pickle

import pytest

from ascend_core import Partition, PartitionError, SchedulingPolicy

# As the device plugin of the cluster writes it.
CONFIG = """\
physical-npu-id=2
virtual-npu-id=1
aicore-quota=30
memory-quota=20480
shm-id=C281A66C-80A047F2-0A645632-CC500485-100301E3
scheduling-policy=1
"""


@pytest.fixture
def container(tmp_path):
    """The file system of a container: call it with the text of the partition's file."""

    def write(config: str | bytes, preload: str | None = None):
        path = tmp_path / "etc/enpu/vcann-rt/npu_info.config"
        path.parent.mkdir(parents=True)
        path.write_bytes(config if isinstance(config, bytes) else config.encode())
        if preload is not None:
            (tmp_path / "etc/ld.so.preload").write_text(preload)
        return tmp_path

    return write


def test_a_container_without_the_file_has_the_whole_device(tmp_path):
    assert Partition.read(root=tmp_path) is None


def test_the_root_can_be_named_by_the_environment(container, monkeypatch):
    monkeypatch.setenv("ASCEND_PARTITION_ROOT", str(container(CONFIG)))
    assert Partition.read().virtual_npu == 1


def test_the_file_becomes_a_partition(container):
    root = container(CONFIG, preload="/opt/enpu/vcann-rt/lib/libvruntime.so\n")

    assert Partition.read(root=root) == Partition(
        physical_npu=2,
        virtual_npu=1,
        aicore_quota=30,
        memory_quota=20480,
        policy=SchedulingPolicy.FIXED_SHARE,
        shm_id="C281A66C-80A047F2-0A645632-CC500485-100301E3",
        enforced=True,
    )


@pytest.mark.parametrize("preload", [None, "", "/usr/lib/libjemalloc.so\n"])
def test_a_partition_without_the_preloaded_library_is_not_enforced(container, preload):
    assert not Partition.read(root=container(CONFIG, preload)).enforced


def test_comments_blank_lines_spaces_and_later_keys_do_not_matter(container):
    text = "# made by the cluster\n\n" + CONFIG.replace("=", " = ") + "memory-limit=20480\n"

    assert Partition.read(root=container(text)).memory_quota == 20480


def test_a_file_with_sections_is_read_for_one_device(container):
    sections = f"[DEVICE-0]\n{CONFIG}[DEVICE-1]\n{CONFIG.replace('=30', '=60')}"
    root = container(sections)

    assert Partition.read(0, root=root).aicore_quota == 30
    assert Partition.read(1, root=root).aicore_quota == 60
    with pytest.raises(PartitionError, match="DEVICE-2"):
        Partition.read(2, root=root)


@pytest.mark.parametrize(
    ("good", "bad", "named"),
    [
        ("aicore-quota=30\n", "", "'aicore-quota' is missing"),
        ("shm-id=C281A66C-80A047F2-0A645632-CC500485-100301E3", "shm-id=", "'shm-id' is missing"),
        ("aicore-quota=30", "aicore-quota=0", "aicore-quota = 0 is not within"),
        ("aicore-quota=30", "aicore-quota=101", "aicore-quota = 101 is not within"),
        ("memory-quota=20480", "memory-quota=20G", "memory-quota = '20G' is not a number"),
        ("virtual-npu-id=1", "virtual-npu-id=-1", "virtual-npu-id = '-1' is not a number"),
        ("policy=1", "policy=4", "scheduling-policy = 4 is none of"),
    ],
)
def test_a_malformed_file_is_named_with_its_key(container, good, bad, named):
    root = container(CONFIG.replace(good, bad))

    with pytest.raises(PartitionError, match=named) as caught:
        Partition.read(root=root)

    assert "npu_info.config" in str(caught.value)


def test_a_file_that_is_no_text_is_named(container):
    with pytest.raises(PartitionError, match="cannot be read"):
        Partition.read(root=container(b"\xff\xfe\x00"))


@pytest.mark.parametrize(
    ("policy", "quota", "share"),
    [(1, 30, 595), (2, 30, 595), (2, 100, 1984), (3, 30, 1984)],
)
def test_the_fair_share_of_the_streams_follows_the_core_quota(container, policy, quota, share):
    text = CONFIG.replace("policy=1", f"policy={policy}").replace("=30", f"={quota}")

    assert Partition.read(root=container(text)).share_of(1984) == share


def test_a_fair_share_is_never_nothing(container):
    assert Partition.read(root=container(CONFIG)).share_of(2) == 1


def test_the_error_travels_between_processes(tmp_path):
    error = PartitionError(tmp_path, "it is empty")

    assert str(pickle.loads(pickle.dumps(error))) == str(error)
