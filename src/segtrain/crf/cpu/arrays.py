"""Numbers of an array without Python's question whether the index is negative.

That question alone keeps LLVM from turning a loop into vector code.
"""

from numba import types
from numba.core import cgutils
from numba.extending import intrinsic


def address(context, builder, array_type, array, index_type, index):
    """LLVM's pointer to array.flat[index].

    Args:
        context: numba's, like `builder`.
        builder: where instructions are appended.
        array_type: numba's type of the array.
        array: its LLVM value.
        index_type: numba's type of the index.
        index: its LLVM value, 0 or more.
    """
    data = cgutils.create_struct_proxy(array_type)(context, builder, value=array).data
    return builder.gep(data, [context.cast(builder, index, index_type, types.int64)], inbounds=True)


@intrinsic
def at(typing, array, index):
    """array.flat[index].

    Args:
        array: contiguous, of any dtype.
        index: 0 or more.
    """

    def code(context, builder, signature, arguments):
        return builder.load(address(context, builder, array, arguments[0], index, arguments[1]))

    return array.dtype(array, index), code


@intrinsic
def put(typing, array, index, value):
    """array.flat[index] = value.

    Args:
        array: contiguous, of any dtype.
        index: 0 or more.
        value: is cast to the array's dtype.
    """

    def code(context, builder, signature, arguments):
        cast = context.cast(builder, arguments[2], value, array.dtype)
        builder.store(cast, address(context, builder, array, arguments[0], index, arguments[1]))
        return context.get_dummy_value()

    return types.void(array, index, value), code
