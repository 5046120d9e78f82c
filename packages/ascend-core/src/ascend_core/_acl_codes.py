# SPDX-License-Identifier: Apache-2.0
"""What the codes of the Ascend runtime mean: the one table every error is made from.

Codes are numbers that libascendcl returns and that documentation, logs and torch_npu quote. The
names, meanings and remedies here are this project's own words; `errors` has one exception class for
each `Family`.
"""

from dataclasses import dataclass
from enum import Enum

__all__ = ["CODES", "AclCode", "Family"]


class Family(Enum):
    """Codes that a caller handles alike; the value is the general advice."""

    INVALID_ARGUMENT = "Check the arguments of the call; it is a bug of the caller."
    INVALID_STATE = "Check the order of the calls and which context, stream and device are current."
    NOT_SUPPORTED = (
        "Check that chip, driver, firmware and CANN support the call (`ascend-doctor` prints the "
        "versions), and that the object it was called on is of the right kind."
    )
    CAPTURE = (
        "Move the call out of the captured region, or run without graphs (vLLM: `--enforce-eager`)."
    )
    OUT_OF_MEMORY = (
        "Free memory on the device, or ask for less: smaller batches, a smaller KV cache "
        "(vLLM: `--gpu-memory-utilization`) or fewer captured sizes."
    )
    OUT_OF_STREAMS = (
        "Use fewer streams: capture fewer sizes, prefer FULL over PIECEWISE graphs, close unused "
        "graphs, or stop other tenants of the device (`ascend-doctor --device N` counts them)."
    )
    OUT_OF_EVENTS = "Use fewer events: capture fewer sizes and close graphs that are not used."
    OUT_OF_RESOURCES = "Close unused graphs and models, or stop other tenants of the device."
    TIMEOUT = "See what the device is waiting for; raise the timeout if the work is that long."
    ABORTED = "The device or stream was aborted on request; reset it before using it again."
    KERNEL = "An operator failed on the device: see the device log, and run it alone to find which."
    DEVICE = "The device or its driver is at fault: see `npu-smi info` and the device log."
    INTERNAL = "See the text from CANN and the runtime's log; report it if it can be reproduced."


@dataclass(frozen=True, slots=True)
class AclCode:
    """One code of the runtime.

    Parameters
    ----------
    code
        The number the runtime returns.
    name
        Short upper-case name, unique in the table.
    family
        What kind of failure it is.
    meaning
        What happened, as the end of a sentence.
    advice
        What to do about it, where the family's advice is too general.
    """

    code: int
    name: str
    family: Family
    meaning: str
    advice: str = ""

    @property
    def remedy(self) -> str:
        """What to do: the code's own advice, or that of its family."""
        return self.advice or self.family.value


_ARG = Family.INVALID_ARGUMENT
_STATE = Family.INVALID_STATE
_CAPTURE = Family.CAPTURE
_KERNEL = Family.KERNEL
_DEVICE = Family.DEVICE
_INTERNAL = Family.INTERNAL

_TABLE = (
    # The ACL layer: what it checks itself before it asks the runtime.
    AclCode(100000, "ACL_PARAMETER", _ARG, "a pointer is null or a value is out of range"),
    AclCode(100001, "ACL_UNINITIALIZED", _STATE, "ACL is not initialized"),
    AclCode(100002, "ACL_REPEATED_INITIALIZE", _STATE, "ACL is already initialized"),
    AclCode(100003, "ACL_INVALID_FILE", _ARG, "a file is missing or cannot be read"),
    AclCode(200000, "ACL_BAD_ALLOC", Family.OUT_OF_MEMORY, "the host is out of memory"),
    AclCode(200001, "ACL_API_NOT_SUPPORTED", Family.NOT_SUPPORTED, "the call is not supported"),
    AclCode(200006, "ACL_FEATURE_NOT_SUPPORTED", Family.NOT_SUPPORTED, "the feature is missing"),
    AclCode(300000, "ACL_STORAGE_LIMIT", Family.OUT_OF_MEMORY, "a storage limit is exceeded"),
    AclCode(500000, "ACL_INTERNAL", _INTERNAL, "ACL failed inside"),
    AclCode(500003, "ACL_RUNTIME_INTERNAL", _INTERNAL, "the runtime failed inside"),
    AclCode(500004, "ACL_DRIVER_INTERNAL", _DEVICE, "the driver failed inside"),
    # Arguments, handles and the order of calls.
    AclCode(107000, "PARAMETER", _ARG, "the runtime refuses an argument"),
    AclCode(
        107001,
        "DEVICE_ID",
        _ARG,
        "there is no device of that number",
        "Use a device below the device count (`ascend-doctor`); see ASCEND_RT_VISIBLE_DEVICES.",
    ),
    AclCode(
        107002,
        "NO_CONTEXT",
        _STATE,
        "the thread has no current context",
        "Set a device in this thread first: Device(i).use(), or torch.npu.set_device(i).",
    ),
    AclCode(107003, "STREAM_OF_OTHER_CONTEXT", _STATE, "the stream belongs to another context"),
    AclCode(107004, "MODEL_OF_OTHER_CONTEXT", _STATE, "the graph belongs to another context"),
    AclCode(107005, "STREAM_MODEL", _STATE, "the stream is (or is not) bound to a graph"),
    AclCode(107006, "TIMESTAMP_INVALID", _STATE, "the event holds no time stamp"),
    AclCode(107007, "TIMESTAMP_REVERSED", _STATE, "the end event is older than the start event"),
    AclCode(107008, "ADDRESS_UNALIGNED", _ARG, "a memory address is not aligned"),
    AclCode(107009, "FILE_OPEN", _ARG, "a file cannot be opened"),
    AclCode(107010, "FILE_WRITE", _ARG, "a file cannot be written"),
    AclCode(107011, "STREAM_SUBSCRIBE", _STATE, "the stream's callback subscription is in the way"),
    AclCode(107012, "THREAD_SUBSCRIBE", _STATE, "the thread's callback subscription is in the way"),
    AclCode(107015, "NO_CALLBACK_THREAD", _STATE, "no thread is subscribed to the stream"),
    AclCode(107016, "MEMORY_TYPE", _ARG, "the memory is of the wrong type"),
    AclCode(107017, "HANDLE", _ARG, "the handle is stale or of another kind"),
    AclCode(107018, "MALLOC_TYPE", _ARG, "memory of that type cannot be had"),
    AclCode(107019, "WAIT_TIMEOUT", Family.TIMEOUT, "a wait ran out of time"),
    AclCode(107020, "TASK_TIMEOUT", Family.TIMEOUT, "a task ran out of time"),
    AclCode(107022, "DEVICE_ABORT", Family.ABORTED, "the tasks of the device are being aborted"),
    AclCode(107023, "STREAM_ABORT", Family.ABORTED, "the tasks of the stream are being aborted"),
    AclCode(107035, "ABORT_STOP", Family.ABORTED, "the work was stopped by an abort"),
    # Graph capture.
    AclCode(
        107024,
        "CAPTURE_DEPENDENCY",
        _CAPTURE,
        "the captured work waits for an event that was recorded outside the capture",
        "Record the event inside the capture, or wait for it before the capture begins.",
    ),
    AclCode(
        107025,
        "CAPTURE_UNJOINED",
        _CAPTURE,
        "a stream that was forked into the capture was not joined back",
        "Record an event as the last work of every forked stream, and wait for it on the stream "
        "the capture began on.",
    ),
    AclCode(107026, "MODEL_CAPTURED", _CAPTURE, "the graph is still being captured"),
    AclCode(
        107027,
        "STREAM_CAPTURED",
        _CAPTURE,
        "the stream is being captured, and the call is not possible on such a stream",
        "Do not synchronize, query or destroy a capturing stream, nor launch a graph on it.",
    ),
    AclCode(
        107028,
        "EVENT_CAPTURED",
        _CAPTURE,
        "the event is part of a capture, and the call is not possible on such an event",
        "Do not synchronize, query or time events that were recorded inside a capture.",
    ),
    AclCode(107029, "STREAM_NOT_CAPTURED", _CAPTURE, "the stream is not being captured"),
    AclCode(
        107030,
        "CAPTURE_MODE",
        _CAPTURE,
        "the mode of a running capture forbids the call (a synchronous copy or set of memory)",
        "Move the copy out of the captured region (`.item()`, `.cpu()` and `.tolist()` copy too), "
        "use pinned memory and non_blocking=True, or capture in RELAXED mode.",
    ),
    AclCode(
        107031,
        "CAPTURE_DEFAULT_STREAM",
        _CAPTURE,
        "the default stream was about to be drawn into a capture",
        "Use a stream of your own inside a capture: with torch.npu.stream(torch.npu.Stream()).",
    ),
    AclCode(107032, "CAPTURE_CONFLICT", _CAPTURE, "two captures wait for each other's events"),
    AclCode(
        107033,
        "TASK_GROUP_STATUS",
        _CAPTURE,
        "the task group or its update is not in the state the call needs",
        "Begin and end task groups and updates in pairs, one at a time per stream and handle.",
    ),
    AclCode(
        107034,
        "TASK_GROUP_INTERRUPTED",
        _CAPTURE,
        "work on another stream of the graph came between the begin and end of a task group",
    ),
    AclCode(
        107036,
        "CAPTURE_UNMATCHED",
        _CAPTURE,
        "the capture was ended on a stream it did not begin on",
        "End the capture on the stream it began on.",
    ),
    AclCode(
        107037,
        "MODEL_RUNNING",
        _CAPTURE,
        "the graph is still running",
        "Synchronize the stream the graph was launched on before closing the graph.",
    ),
    AclCode(
        107038,
        "CAPTURE_WRONG_THREAD",
        _CAPTURE,
        "the capture was ended by a thread that did not begin it",
        "End the capture in the thread it began in, or capture in RELAXED mode.",
    ),
    AclCode(107039, "ARRAY_TOO_SHORT", _ARG, "the array is too short for the answer"),
    AclCode(107040, "MODEL_UPDATE", _CAPTURE, "the graph cannot be updated in this state"),
    AclCode(
        107041,
        "CAPTURE_PAGEABLE_COPY",
        _CAPTURE,
        "an asynchronous copy with pageable host memory would synchronize inside a capture",
        "Copy from or to pinned memory (tensor.pin_memory()), or outside the capture.",
    ),
    AclCode(107045, "CAPTURE_CHILD_OPEN", _CAPTURE, "a child graph is still being captured"),
    AclCode(
        507903,
        "CAPTURE_INVALIDATED",
        _CAPTURE,
        "the capture was invalidated by an earlier error",
        "Look for the first error in the log: this one only says that the capture is lost.",
    ),
    # Support and resources.
    AclCode(207000, "NOT_SUPPORTED", Family.NOT_SUPPORTED, "the feature is not supported"),
    AclCode(207001, "OUT_OF_MEMORY", Family.OUT_OF_MEMORY, "there is not enough memory"),
    AclCode(207004, "NO_DEVICE", _DEVICE, "no device is available"),
    AclCode(
        207005,
        "OUT_OF_QUEUES",
        Family.OUT_OF_STREAMS,
        "no submission queue (SQ) is left for a stream or for a graph's first execution",
    ),
    AclCode(207006, "PERMISSION", _DEVICE, "the user may not use the device"),
    AclCode(207007, "OUT_OF_EVENTS", Family.OUT_OF_EVENTS, "no event is left on the device"),
    AclCode(207008, "OUT_OF_STREAM_IDS", Family.OUT_OF_STREAMS, "no stream id is left"),
    AclCode(207009, "OUT_OF_NOTIFIES", Family.OUT_OF_EVENTS, "no notify is left on the device"),
    AclCode(207010, "OUT_OF_MODELS", Family.OUT_OF_RESOURCES, "no graph (model) id is left"),
    AclCode(207011, "OUT_OF_RUNTIME_RESOURCES", Family.OUT_OF_RESOURCES, "the runtime ran out"),
    AclCode(207018, "DEVICE_OUT_OF_MEMORY", Family.OUT_OF_MEMORY, "device memory is exhausted"),
    AclCode(
        207019,
        "UPDATE_NOT_SUPPORTED",
        Family.NOT_SUPPORTED,
        "the firmware cannot update this operator in a captured graph",
    ),
    # Inside the runtime and on the device.
    AclCode(507000, "INTERNAL", _INTERNAL, "the runtime failed inside"),
    AclCode(507001, "SCHEDULER", _INTERNAL, "the task scheduler of the device failed"),
    AclCode(507002, "STREAM_FULL", Family.OUT_OF_RESOURCES, "the stream holds too many tasks"),
    AclCode(507004, "STREAM_NOT_COMPLETE", _INTERNAL, "the stream is not finished yet"),
    AclCode(507006, "EVENT_NOT_COMPLETE", _INTERNAL, "the event has not happened yet"),
    AclCode(507007, "CONTEXT_RELEASE", _STATE, "the device is not set, or was reset already"),
    AclCode(507009, "TASK_TYPE", _CAPTURE, "a task group takes kernels only"),
    AclCode(507010, "HEARTBEAT", _DEVICE, "the device lost its heartbeat"),
    AclCode(
        507011,
        "MODEL_EXECUTE",
        _KERNEL,
        "the graph cannot run: a task in it failed, or it waits for an update to be finished",
    ),
    AclCode(507012, "REPORT_TIMEOUT", Family.TIMEOUT, "no callback came in time"),
    AclCode(507013, "DMA", _DEVICE, "a copy by the DMA engine failed"),
    AclCode(507014, "CUBE_TIMEOUT", _KERNEL, "a kernel on an AI core ran out of time"),
    AclCode(507015, "CUBE_EXCEPTION", _KERNEL, "a kernel on an AI core failed"),
    AclCode(507016, "CUBE_TRAP", _KERNEL, "a kernel on an AI core trapped"),
    AclCode(507017, "AICPU_TIMEOUT", _KERNEL, "a kernel on an AI CPU ran out of time"),
    AclCode(507018, "AICPU_EXCEPTION", _KERNEL, "a kernel on an AI CPU failed"),
    AclCode(507033, "DEVICE_SETUP", _DEVICE, "the device could not be started"),
    AclCode(507034, "VECTOR_TIMEOUT", _KERNEL, "a kernel on a vector core ran out of time"),
    AclCode(507035, "VECTOR_EXCEPTION", _KERNEL, "a kernel on a vector core failed"),
    AclCode(507036, "VECTOR_TRAP", _KERNEL, "a kernel on a vector core trapped"),
    AclCode(507046, "STREAM_SYNC_TIMEOUT", Family.TIMEOUT, "the stream did not finish in time"),
    AclCode(507047, "EVENT_SYNC_TIMEOUT", Family.TIMEOUT, "the event did not happen in time"),
    AclCode(507053, "DEVICE_MEMORY", _DEVICE, "the memory of the device is faulty"),
    AclCode(507054, "DEVICE_MEMORY_ECC", _DEVICE, "the memory of the device has an ECC error"),
    AclCode(507899, "DRIVER", _DEVICE, "the driver failed inside"),
    AclCode(507904, "COMMUNICATION_RETRY", _DEVICE, "a collective failed, retries included"),
    AclCode(507910, "HOST_MEMORY_REGISTERED", _ARG, "the host memory is registered already"),
    AclCode(507911, "HOST_MEMORY_NOT_REGISTERED", _ARG, "the host memory is not registered"),
)

CODES: dict[int, AclCode] = {entry.code: entry for entry in _TABLE}
