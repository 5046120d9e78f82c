# SPDX-License-Identifier: Apache-2.0
"""``acl.rt``: devices, contexts, streams, events, memory."""

from ctypes import c_float, c_int32, c_int64, c_size_t, c_uint32, c_uint64, c_void_p

from acl._abi import Out, bind, missing

_DEVICE = c_int32
_CONTEXT = _STREAM = _EVENT = _ADDRESS = c_void_p
_ENUM = _STATUS = c_int32
_MILLISECONDS = c_int32

_FUNCTIONS = bind(
    {
        # devices
        "set_device": ("aclrtSetDevice", _DEVICE),
        "reset_device": ("aclrtResetDevice", _DEVICE),
        "get_device": ("aclrtGetDevice", Out(_DEVICE)),
        "get_device_count": ("aclrtGetDeviceCount", Out(c_uint32)),
        "get_device_info": ("aclrtGetDeviceInfo", c_uint32, _ENUM, Out(c_int64)),
        "get_version": ("aclrtGetVersion", Out(c_int32), Out(c_int32), Out(c_int32)),
        "synchronize_device": ("aclrtSynchronizeDevice",),
        "synchronize_device_with_timeout": ("aclrtSynchronizeDeviceWithTimeout", _MILLISECONDS),
        "device_can_access_peer": ("aclrtDeviceCanAccessPeer", Out(c_int32), _DEVICE, _DEVICE),
        "device_enable_peer_access": ("aclrtDeviceEnablePeerAccess", _DEVICE, c_uint32),
        # contexts
        "create_context": ("aclrtCreateContext", Out(_CONTEXT), _DEVICE),
        "destroy_context": ("aclrtDestroyContext", _CONTEXT),
        "set_context": ("aclrtSetCurrentContext", _CONTEXT),
        "get_context": ("aclrtGetCurrentContext", Out(_CONTEXT)),
        # streams
        "create_stream": ("aclrtCreateStream", Out(_STREAM)),
        "create_stream_with_config": (
            *("aclrtCreateStreamWithConfig", Out(_STREAM), c_uint32, c_uint32),
        ),
        "destroy_stream": ("aclrtDestroyStream", _STREAM),
        "destroy_stream_force": ("aclrtDestroyStreamForce", _STREAM),
        "synchronize_stream": ("aclrtSynchronizeStream", _STREAM),
        "synchronize_stream_with_timeout": (
            *("aclrtSynchronizeStreamWithTimeout", _STREAM, _MILLISECONDS),
        ),
        "stream_query": ("aclrtStreamQuery", _STREAM, Out(_STATUS)),
        "stream_get_id": ("aclrtStreamGetId", _STREAM, Out(c_int32)),
        "stream_abort": ("aclrtStreamAbort", _STREAM),
        "stream_wait_event": ("aclrtStreamWaitEvent", _STREAM, _EVENT),
        "set_stream_failure_mode": ("aclrtSetStreamFailureMode", _STREAM, c_uint64),
        "get_stream_available_num": ("aclrtGetStreamAvailableNum", Out(c_uint32)),
        # events
        "create_event": ("aclrtCreateEvent", Out(_EVENT)),
        "create_event_with_flag": ("aclrtCreateEventWithFlag", Out(_EVENT), c_uint32),
        "create_event_ex_with_flag": ("aclrtCreateEventExWithFlag", Out(_EVENT), c_uint32),
        "destroy_event": ("aclrtDestroyEvent", _EVENT),
        "record_event": ("aclrtRecordEvent", _EVENT, _STREAM),
        "reset_event": ("aclrtResetEvent", _EVENT, _STREAM),
        "query_event": ("aclrtQueryEvent", _EVENT, Out(_STATUS)),
        "query_event_status": ("aclrtQueryEventStatus", _EVENT, Out(_STATUS)),
        "query_event_wait_status": ("aclrtQueryEventWaitStatus", _EVENT, Out(_STATUS)),
        "synchronize_event": ("aclrtSynchronizeEvent", _EVENT),
        "synchronize_event_with_timeout": (
            *("aclrtSynchronizeEventWithTimeout", _EVENT, _MILLISECONDS),
        ),
        "event_elapsed_time": ("aclrtEventElapsedTime", Out(c_float), _EVENT, _EVENT),
        "event_get_timestamp": ("aclrtEventGetTimestamp", _EVENT, Out(c_uint64)),
        # memory
        "malloc": ("aclrtMalloc", Out(_ADDRESS), c_size_t, _ENUM),
        "malloc_align32": ("aclrtMallocAlign32", Out(_ADDRESS), c_size_t, _ENUM),
        "free": ("aclrtFree", _ADDRESS),
        "malloc_host": ("aclrtMallocHost", Out(_ADDRESS), c_size_t),
        "free_host": ("aclrtFreeHost", _ADDRESS),
        "memcpy": ("aclrtMemcpy", _ADDRESS, c_size_t, _ADDRESS, c_size_t, _ENUM),
        "memcpy_async": (
            *("aclrtMemcpyAsync", _ADDRESS, c_size_t, _ADDRESS, c_size_t, _ENUM, _STREAM),
        ),
        "memset": ("aclrtMemset", _ADDRESS, c_size_t, c_int32, c_size_t),
        "memset_async": ("aclrtMemsetAsync", _ADDRESS, c_size_t, c_int32, c_size_t, _STREAM),
        "get_mem_info": ("aclrtGetMemInfo", _ENUM, Out(c_size_t), Out(c_size_t)),
        # time-outs and errors
        "set_op_wait_timeout": ("aclrtSetOpWaitTimeout", c_uint32),
        "set_op_execute_time_out": ("aclrtSetOpExecuteTimeOut", c_uint32),
        "get_last_error": ("aclrtGetLastError", _ENUM),
        "peek_at_last_error": ("aclrtPeekAtLastError", _ENUM),
    }
)
globals().update(_FUNCTIONS)

__all__ = [*_FUNCTIONS]


def __getattr__(name: str) -> None:
    raise missing(__name__, name, __all__)
