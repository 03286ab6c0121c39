"""Arrays that compiled code uses without counting who refers to them.

A kernel that takes a tuple apart counts a reference for each array, atomically, in every small
function it calls: a fifth of the time of those that walk round a vertex.
"""

from typing import Any

from numba.core import cgutils, types
from numba.extending import intrinsic


@intrinsic
def borrowed(context: Any, value: Any) -> Any:
    """The arrays of a tuple without their counts, for as long as the kernel's caller holds them.

    Only for arguments of a kernel that Python calls, and that it does not return.
    """
    del context

    def build(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        return _uncounted(context, builder, signature.return_type, given[0])

    return value(value), build


def _uncounted(context: Any, builder: Any, kind: Any, value: Any) -> Any:
    """The value with no owner's count in any of its arrays."""
    if isinstance(kind, types.Array):
        array = context.make_array(kind)(context, builder, value)
        array.meminfo = cgutils.get_null_value(array.meminfo.type)
        return array._getvalue()
    if isinstance(kind, types.Tuple):
        items: list[Any] = cgutils.unpack_tuple(builder, value)
        made = [
            _uncounted(context, builder, part, item)
            for part, item in zip(kind.types, items, strict=True)
        ]
        return context.make_tuple(builder, kind, made)
    return value
