"""A row of labels as a numba type: LLVM vectors that stay in registers.

What the mean field does to a pixel it does to all its labels at once. Numba compiles a loop over
labels to scalar code, or to vector code with a check and a remainder around each loop, which is four
times slower than LLVM's own vectors. So a `Row` is LLVM's: `parts` vectors of eight float32, and the
functions below are the few operations on it that the mean field needs.

The number of parts is a type: it comes with the argument `width`, a tuple of which only the length
counts (`(0,) * parts`).
"""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, register_model

LANES = 8
FLOAT = ir.FloatType()
INT = ir.IntType(32)
EIGHT = ir.VectorType(FLOAT, LANES)
EIGHT_INTS = ir.VectorType(INT, LANES)


class Row(types.Type):
    def __init__(self, parts: int):
        self.parts = parts
        super().__init__(name=f"Row({parts})")


@register_model(Row)
class RowModel(models.PrimitiveModel):
    def __init__(self, manager, row: Row):
        super().__init__(manager, row, ir.ArrayType(EIGHT, row.parts))


def _constant(value, kind=EIGHT):
    return ir.Constant(kind, [value] * LANES)


def _call(builder, name, *arguments):
    kind = ir.FunctionType(arguments[0].type, [a.type for a in arguments])
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), arguments)


def _multiply_add(builder, x, y, z):
    """x·y + z; fused where the processor can (`llvm.fma` would call libm where it cannot)."""
    return _call(builder, f"llvm.fmuladd.v{LANES}f32", x, y, z)


def _spread(builder, scalar):
    """The vector whose eight lanes are `scalar`."""
    nothing = ir.Constant(EIGHT, ir.Undefined)
    first = builder.insert_element(nothing, scalar, INT(0))
    return builder.shuffle_vector(first, nothing, _constant(0, EIGHT_INTS))


def _larger(builder, x, y):
    return builder.select(builder.fcmp_ordered(">", x, y), x, y)


def _parts(builder, row):
    return [builder.extract_value(row, i) for i in range(row.type.count)]


def _row(builder, parts):
    row = ir.Constant(ir.ArrayType(EIGHT, len(parts)), ir.Undefined)
    for i, part in enumerate(parts):
        row = builder.insert_value(row, part, i)
    return row


def _across(builder, row, operation):
    """One number from all lanes of all parts, by halves."""
    first, *others = _parts(builder, row)
    for part in others:
        first = operation(first, part)
    lanes = LANES
    while lanes > 1:
        lanes //= 2
        nothing = ir.Constant(first.type, ir.Undefined)
        kind = ir.VectorType(INT, lanes)
        low = builder.shuffle_vector(first, nothing, ir.Constant(kind, list(range(lanes))))
        high = builder.shuffle_vector(first, nothing, ir.Constant(kind, list(range(lanes, 2 * lanes))))
        first = operation(low, high)
    return builder.extract_element(first, INT(0))


def _address(context, builder, array_type, array, index_type, index):
    data = cgutils.create_struct_proxy(array_type)(context, builder, value=array).data
    return builder.gep(data, [context.cast(builder, index, index_type, types.int64)], inbounds=True)


def _vector_addresses(context, builder, array_type, array, index_type, index, parts):
    start = _address(context, builder, array_type, array, index_type, index)
    for i in range(parts):
        yield builder.bitcast(
            builder.gep(start, [ir.IntType(64)(i * LANES)], inbounds=True), EIGHT.as_pointer()
        )


@intrinsic
def at(typing, array, index):
    """array.flat[index], without Python's question whether the index is negative."""

    def code(context, builder, signature, arguments):
        return builder.load(_address(context, builder, array, arguments[0], index, arguments[1]))

    return array.dtype(array, index), code


@intrinsic
def put(typing, array, index, value):
    def code(context, builder, signature, arguments):
        cast = context.cast(builder, arguments[2], value, array.dtype)
        builder.store(cast, _address(context, builder, array, arguments[0], index, arguments[1]))
        return context.get_dummy_value()

    return types.void(array, index, value), code


@intrinsic
def lanes(typing, width):
    def code(context, builder, signature, arguments):
        return ir.IntType(64)(width.count * LANES)

    return types.int64(width), code


@intrinsic
def load(typing, array, index, width):
    def code(context, builder, signature, arguments):
        places = _vector_addresses(context, builder, array, arguments[0], index, arguments[1], width.count)
        return _row(builder, [builder.load(place, align=4) for place in places])

    return Row(width.count)(array, index, width), code


@intrinsic
def store(typing, array, index, row):
    def code(context, builder, signature, arguments):
        places = _vector_addresses(context, builder, array, arguments[0], index, arguments[1], row.parts)
        for part, place in zip(_parts(builder, arguments[2]), places, strict=True):
            builder.store(part, place, align=4)
        return context.get_dummy_value()

    return types.void(array, index, row), code


@intrinsic
def fetch(typing, array, index, width):
    """Asks for a row's cache lines, which will be needed soon."""

    def code(context, builder, signature, arguments):
        places = _vector_addresses(context, builder, array, arguments[0], index, arguments[1], width.count)
        for place in list(places)[::2]:  # a line has 64 bytes
            byte = builder.bitcast(place, ir.IntType(8).as_pointer())
            kind = ir.FunctionType(ir.VoidType(), [byte.type, INT, INT, INT])
            function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
            builder.call(function, [byte, INT(0), INT(3), INT(1)])  # to read, to keep, data
        return context.get_dummy_value()

    return types.void(array, index, width), code


@intrinsic
def zeros(typing, width):
    def code(context, builder, signature, arguments):
        return _row(builder, [_constant(0.0)] * width.count)

    return Row(width.count)(width), code


@intrinsic
def add(typing, x, y):
    def code(context, builder, signature, arguments):
        both = zip(_parts(builder, arguments[0]), _parts(builder, arguments[1]), strict=True)
        return _row(builder, [builder.fadd(a, b) for a, b in both])

    return x(x, y), code


@intrinsic
def multiply(typing, x, y):
    def code(context, builder, signature, arguments):
        both = zip(_parts(builder, arguments[0]), _parts(builder, arguments[1]), strict=True)
        return _row(builder, [builder.fmul(a, b) for a, b in both])

    return x(x, y), code


@intrinsic
def scale(typing, x, factor):
    def code(context, builder, signature, arguments):
        f = _spread(builder, context.cast(builder, arguments[1], factor, types.float32))
        return _row(builder, [builder.fmul(part, f) for part in _parts(builder, arguments[0])])

    return x(x, factor), code


@intrinsic
def shift(typing, x, by):
    def code(context, builder, signature, arguments):
        f = _spread(builder, context.cast(builder, arguments[1], by, types.float32))
        return _row(builder, [builder.fsub(part, f) for part in _parts(builder, arguments[0])])

    return x(x, by), code


@intrinsic
def add_scaled(typing, x, factor, y):
    """x + factor·y"""

    def code(context, builder, signature, arguments):
        f = _spread(builder, context.cast(builder, arguments[1], factor, types.float32))
        both = zip(_parts(builder, arguments[0]), _parts(builder, arguments[2]), strict=True)
        return _row(builder, [_multiply_add(builder, f, b, a) for a, b in both])

    return x(x, factor, y), code


@intrinsic
def total(typing, x):
    def code(context, builder, signature, arguments):
        return _across(builder, arguments[0], builder.fadd)

    return types.float32(x), code


@intrinsic
def largest_where(typing, x, condition):
    """The largest lane of x among those where `condition` is above 0."""

    def code(context, builder, signature, arguments):
        none = _constant(-3e38)
        both = zip(_parts(builder, arguments[0]), _parts(builder, arguments[1]), strict=True)
        kept = [builder.select(builder.fcmp_ordered(">", c, _constant(0.0)), a, none) for a, c in both]
        return _across(builder, _row(builder, kept), lambda a, b: _larger(builder, a, b))

    return types.float32(x, condition), code


LOG2_E = 1.44269504
POLYNOMIAL = (0.0013333558, 0.0096181291, 0.0555041087, 0.2402265070, 0.6931471806, 1.0)  # of 2^x, |x| <= 1/2


@intrinsic
def exp(typing, x):
    """e^x, but never below 2^-60 (denormal numbers would take ten times as long) nor above 2^126."""

    def code(context, builder, signature, arguments):
        return _row(builder, [_exp(builder, part) for part in _parts(builder, arguments[0])])

    return x(x), code


def _exp(builder, x):
    x = _larger(builder, builder.fmul(x, _constant(LOG2_E)), _constant(-60.0))
    x = builder.select(builder.fcmp_ordered("<", x, _constant(126.0)), x, _constant(126.0))
    whole = _call(builder, f"llvm.rint.v{LANES}f32", x)
    rest = builder.fsub(x, whole)
    result = _constant(POLYNOMIAL[0])
    for coefficient in POLYNOMIAL[1:]:
        result = _multiply_add(builder, result, rest, _constant(coefficient))
    exponent = builder.add(builder.fptosi(whole, EIGHT_INTS), _constant(127, EIGHT_INTS))
    return builder.fmul(result, builder.bitcast(builder.shl(exponent, _constant(23, EIGHT_INTS)), EIGHT))


@intrinsic
def first_largest(typing, x):
    """The index of the first lane that holds the largest value."""

    def code(context, builder, signature, arguments):
        highest = _spread(builder, _across(builder, arguments[0], lambda a, b: _larger(builder, a, b)))
        mask_kind, long = ir.IntType(LANES), ir.IntType(64)
        kind = ir.FunctionType(mask_kind, [mask_kind, ir.IntType(1)])
        count_zeros = cgutils.get_or_insert_function(builder.module, kind, f"llvm.cttz.i{LANES}")
        index = long(0)
        for i, part in reversed(list(enumerate(_parts(builder, arguments[0])))):
            mask = builder.bitcast(builder.fcmp_ordered("==", part, highest), mask_kind)
            here = builder.zext(builder.call(count_zeros, [mask, ir.IntType(1)(0)]), long)
            found = builder.icmp_unsigned("!=", mask, mask_kind(0))
            index = builder.select(found, builder.add(here, long(i * LANES)), index)
        return index

    return types.int64(x), code
