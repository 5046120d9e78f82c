# SPDX-License-Identifier: Apache-2.0
"""pyACL's functions of the runtime, on the simulator's libascendcl.

CANN ships a module of this name with its toolkit. As there, a function returns its error code, or
what it gives and the error code; pointers and handles are integers. Names and arguments are those
of pyACL's public documentation (hiascend.com, "pyACL API"). What the simulator's runtime lacks, and
models, single operators and media, are not here.
"""

from acl import rt, util
from acl._abi import Path, Text, bind, missing

__all__ = ["finalize", "get_recent_err_msg", "get_soc_name", "init", "rt", "util"]

_FUNCTIONS = bind(
    {
        "init": ("aclInit", Path),
        "finalize": ("aclFinalize",),
        "get_recent_err_msg": ("aclGetRecentErrMsg", Text),
        "get_soc_name": ("aclrtGetSocName", Text),
    }
)
globals().update(_FUNCTIONS)


def __getattr__(name: str) -> None:
    raise missing(__name__, name, __all__)
