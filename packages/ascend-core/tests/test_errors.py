# SPDX-License-Identifier: Apache-2.0
import pickle

import pytest

from ascend_core import errors
from ascend_core._acl_codes import CODES, Family


@pytest.mark.parametrize(
    ("code", "cls"),
    [
        (100000, errors.AclInvalidArgument),
        (107000, errors.AclInvalidArgument),
        (107002, errors.AclInvalidState),
        (207000, errors.AclNotSupported),
        (207001, errors.AclOutOfMemory),
        (207018, errors.AclOutOfMemory),
        (207005, errors.AclOutOfStreams),
        (207008, errors.AclOutOfStreams),
        (207007, errors.AclOutOfEvents),
        (107024, errors.AclCaptureError),
        (107030, errors.AclCaptureError),
        (107038, errors.AclCaptureError),
        (507903, errors.AclCaptureError),
        (107019, errors.AclTimeout),
        (507046, errors.AclTimeout),
        (507015, errors.AclKernelError),
        (507011, errors.AclKernelError),
        (507899, errors.AclDeviceError),
        (507000, errors.AclInternalError),
    ],
)
def test_a_code_becomes_the_error_of_its_kind(code, cls):
    error = errors.from_code(code, "aclrtFoo")

    assert type(error) is cls
    assert code in cls.codes()


def test_every_family_of_the_table_has_one_class():
    families = [cls.family for cls in errors.AclError.__subclasses__() if cls.family]

    assert set(Family) <= set(families)
    assert {entry.family for entry in CODES.values()} == set(Family)


def test_names_of_codes_are_unique():
    names = [entry.name for entry in CODES.values()]

    assert len(set(names)) == len(names)


def test_the_message_says_what_happened_why_and_what_to_do():
    error = errors.from_code(107030, "aclrtMemcpy", "stream 7 is capturing")

    assert (error.code, error.name, error.call) == (107030, "CAPTURE_MODE", "aclrtMemcpy")
    first, detail, remedy = str(error).splitlines()
    assert first.startswith("aclrtMemcpy failed with 107030 CAPTURE_MODE: ")
    assert "stream 7 is capturing" in detail
    assert "pinned memory" in remedy


def test_an_unknown_code_is_still_an_error_with_its_number():
    error = errors.from_code(123456, "aclrtFoo")

    assert type(error) is errors.AclError
    assert error.name == "UNKNOWN"
    assert "123456" in str(error)


@pytest.mark.parametrize(
    "error",
    [
        errors.from_code(207001, "aclrtMalloc", "12 GiB"),
        errors.AclLibraryNotFoundError("not found"),
        errors.AclSymbolNotFoundError("aclrtFoo"),
    ],
)
def test_errors_travel_between_processes(error):
    copy = pickle.loads(pickle.dumps(error))

    assert type(copy) is type(error)
    assert str(copy) == str(error)


def test_the_missing_library_names_both_ways_to_go_on():
    message = str(errors.AclLibraryNotFoundError("libascendcl.so: cannot open shared object file"))

    assert "set_env.sh" in message
    assert "ascend-sim run" in message


def test_a_missing_device_names_both_ways_to_go_on():
    message = str(errors.NoDeviceError())

    assert "npu-smi info" in message
    assert "ascend-sim run" in message


# The texts are put together as torch_npu's NPUException.h does.
@pytest.mark.parametrize(
    ("text", "code", "call"),
    [
        (
            "capture_begin:build/NPUGraph.cpp:161 NPU function error: "
            "c10_npu::acl::AclmdlRICaptureBegin(stream, mode), error code is 107027\n"
            "[ERROR] 2026-11-22-10:00:00 (PID:1, Device:0, RankID:-1) ERR00100 PTA call acl api "
            "failed\n[Error]: ...\n",
            107027,
            "aclmdlRICaptureBegin",
        ),
        (" NPU function error: aclrtMalloc, error code is 207001 .\n", 207001, "aclrtMalloc"),
        (
            "npuSync:a.cpp:1 OPS function error: aclnnAdd, error code is 507015\n",
            507015,
            "aclnnAdd",
        ),
        (
            "a.cpp:9 HCCL function error: HcclAllReduce(a, b), error code is 507904\n",
            507904,
            "HcclAllReduce",
        ),
        (
            "matmul_implement_npu:a.cpp:94 NPU function error: call aclnnMatmul failed, error code "
            "is 161002\n[ERROR] 2026-12-01 (PID:1, Device:0, RankID:-1) ERR00100 PTA call acl api "
            "failed.\n",
            161002,
            "aclnnMatmul",
        ),
        (  # quotes a function of its own; the line of CANN's has the call
            "ExchangeDevice:a.cpp:337 NPU function error: c10_npu::SetDevice(device), error code "
            "is 107001\n[ERROR] 2026-12-01 (PID:1, Device:0, RankID:-1) ERR00100 PTA call acl api "
            "failed\n[PID: 1] 2026-12-01 Invalid_Argument(EE1001): aclrtSetDevice failed: device "
            "77 does not exist (ACL_ERROR_RT_INVALID_DEVICEID, 107001).\n",
            107001,
            "aclrtSetDevice",
        ),
        (  # the same where CANN reports nothing
            "ExchangeDevice:a.cpp:337 NPU function error: c10_npu::SetDevice(device), error code "
            "is 107001\n",
            107001,
            "SetDevice",
        ),
        (  # a task that failed in torch_npu's queue: nothing is quoted
            "The Inner error is reported as above. The process exits for this inner error, and the "
            "current working event is 0x7f.\nSince the operator is called asynchronously, the "
            "stacktrace may be inaccurate.\n[ERROR] 2026-12-01 (PID:1, Device:0, RankID:-1) "
            "ERR00100 PTA call acl api failed.\n[PID: 1] 2026-12-01 Not_Supported(EE1006): "
            "aclrtValueWait failed: this chip cannot await a word of memory "
            "(ACL_ERROR_RT_FEATURE_NOT_SUPPORT, 207000).\n",
            207000,
            "aclrtValueWait",
        ),
        (
            "AclrtSetStreamAttribute failed with error code: 107000",
            107000,
            "aclrtSetStreamAttribute",
        ),
        ("check:a.cpp:1 NPU error,NPU error code is:507011\n", 507011, "a call of torch_npu"),
        ("ACL stream synchronize failed, error code:507035", 507035, "a call of torch_npu"),
        (
            "NPU out of memory. Tried to allocate 65536.00 GiB (NPU 0; ...)",
            207001,
            "a call of torch_npu",
        ),
        ("aclrtFoo failed (ACL_ERROR_RT_TASK_TYPE_NOT_SUPPORT, 507009)", 507009, "aclrtFoo"),
        ("EL0009: Stream resources are insufficient.", 207008, "a call of torch_npu"),
    ],
)
def test_an_error_text_of_torch_npu_becomes_the_typed_error(text, code, call):
    error = errors.from_torch_error(RuntimeError(text))

    assert error is not None
    assert type(error) is type(errors.from_code(code, ""))
    assert error.code == code
    assert text.splitlines()[0] in str(error)
    assert error.call == call


def test_the_general_remark_of_torch_npu_is_left_out_and_the_report_of_cann_is_not():
    quoted = (
        "capture_begin:a.cpp:318 NPU function error: aclmdlRICaptureBegin, error code is 207005"
    )
    report = "[PID: 1] 2026-12-01 Insufficient_Resources(EE1023): no streams left (207005)."
    text = (
        f"{quoted}\n[ERROR] 2026-12-01 (PID:1, Device:0, RankID:-1) ERR00100 PTA call acl api "
        "failed\n[Error]: Failed to apply for memory.\n"
        f"        Check the remaining storage space in the hardware environment.\n{report}\n"
    )

    error = errors.from_torch_error(RuntimeError(text))

    assert error is not None
    assert error.detail == f"{quoted}\n{report}\n"


def test_the_code_is_found_in_the_cause_of_an_exception():
    try:
        try:
            raise RuntimeError("NPU function error: aclrtFoo, error code is 107025")
        except RuntimeError as cause:
            raise ValueError("capture of size 8 failed") from cause
    except ValueError as caught:
        error = errors.from_torch_error(caught)

    assert isinstance(error, errors.AclCaptureError)


# Of captures that users of vllm-ascend reported; see facts/vllm-ascend-graph-mode.md, section 2.2.
@pytest.mark.parametrize(
    ("text", "code", "cls"),
    [
        ("NPU error, error code is 207008", 207008, errors.AclOutOfStreams),
        ("EL0009: The stream resources are insufficient.", 207008, errors.AclOutOfStreams),
        ("failed, reason=driver error:no stream resource", 207008, errors.AclOutOfStreams),
        ("begin capture stream failed, runtime result = 207008", 207008, errors.AclOutOfStreams),
        ("NPU error, error code is 207005", 207005, errors.AclOutOfStreams),
        ("[SqCqManage]Alloc sq cq fail, stream_id=1984", 207005, errors.AclOutOfStreams),
        ("New capture stream failed, stream_id=1987", 207005, errors.AclOutOfStreams),
        ("stream wait event failed, runtime result = 207005", 207005, errors.AclOutOfStreams),
        ("failed, reason=driver error:resource alloc fail", 207005, errors.AclOutOfStreams),
        ("error code is 207007", 207007, errors.AclOutOfEvents),
        ("error code is 207009", 207009, errors.AclOutOfEvents),
        ("EL0006: The resources are insufficient.", 207011, errors.AclOutOfResources),
        ("error code is 207010", 207010, errors.AclOutOfResources),
        ("NPU out of memory. Tried to allocate 2.00 MiB", 207001, errors.AclOutOfMemory),
        ("EL0004: Failed to allocate memory.", 207001, errors.AclOutOfMemory),
        ("error code is 207018", 207018, errors.AclOutOfMemory),
    ],
)
def test_every_text_of_a_shortage_is_recognized(text, code, cls):
    error = errors.from_torch_error(RuntimeError(text))
    assert (type(error), error.code) == (cls, code)


@pytest.mark.parametrize(
    "text", ["", "shape mismatch: 107030 rows", "error code is 12", "index 207001 is out of bounds"]
)
def test_other_errors_are_left_alone(text):
    assert errors.from_torch_error(RuntimeError(text)) is None
