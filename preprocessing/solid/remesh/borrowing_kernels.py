"""Arrays that compiled code uses without counting who refers to them.

A kernel that takes a tuple apart counts a reference for each array, atomically, in every small
function it calls: a fifth of the time of those that walk round a vertex.
"""

from typing import Any

from numba.core import cgutils, types
from numba.core.errors import TypingError
from numba.extending import intrinsic


@intrinsic
def borrowed(context: Any, value: Any) -> Any:
    """The arrays of a tuple without their counts, for as long as the kernel's caller holds them.

    Only for arguments of a kernel that Python calls, and that it does not return.
    """
    del context
    kinds = list(value) if isinstance(value, types.BaseTuple) else [None]  # type: ignore[call-overload]
    if not all(isinstance(kind, types.Array | types.Number) for kind in kinds):
        raise TypingError("borrowed takes a tuple of arrays and numbers")

    def build(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        made = []
        for kind, item in zip(kinds, cgutils.unpack_tuple(builder, given[0]), strict=True):
            if isinstance(kind, types.Array):
                array = context.make_array(kind)(context, builder, item)
                array.meminfo = cgutils.get_null_value(array.meminfo.type)
                item = array._getvalue()
            made.append(item)
        return context.make_tuple(builder, signature.return_type, made)

    return value(value), build
