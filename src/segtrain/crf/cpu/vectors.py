"""A row of labels as a numba type: LLVM vectors that stay in registers.

What the mean field does to a pixel it does to all its labels at once. Numba compiles a loop over
labels to scalar code, or to vector code with a check and a remainder around each loop, which is four
times slower than LLVM's own vectors. So a `LabelRow` is LLVM's: vectors of 16 float32 and, where it has an
odd number of eights, one of 8 (a processor without such registers takes two or four for one). The
functions below are the few operations on it that the mean field needs.

The number of eights is a type: it comes with the argument `width`, a tuple of which only the length
counts (`(0,) * eights`).
"""

from functools import reduce

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, register_model

from segtrain.crf.cpu.arrays import address

LANES = 8
FLOAT = ir.FloatType()
INT = ir.IntType(32)
LONG = ir.IntType(64)


class LabelRow(types.Type):
    """Numba's type of a row.

    Args:
        eights: how many times 8 numbers it has.
    """

    def __init__(self, eights: int):
        self.eights = eights
        super().__init__(name=f"Row({eights})")


@register_model(LabelRow)
class RowModel(models.PrimitiveModel):
    """How LLVM holds a `LabelRow`: a struct of vectors."""

    def __init__(self, manager, row: LabelRow):
        super().__init__(manager, row, _row_type(row.eights))


def _row_type(eights: int) -> ir.Type:
    lanes = [2 * LANES] * (eights // 2) + [LANES] * (eights % 2)
    return ir.LiteralStructType([ir.VectorType(FLOAT, count) for count in lanes])


def _constant(like, value, element=FLOAT):
    """The vector with as many lanes as `like` that are all `value`."""
    return ir.Constant(ir.VectorType(element, like.count), [value] * like.count)


def _call(builder, name, *arguments):
    kind = ir.FunctionType(arguments[0].type, [a.type for a in arguments])
    name = f"llvm.{name}.v{arguments[0].type.count}f32"
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), arguments)


def _multiply_add(builder, x, y, z):
    """x·y + z; fused where the processor can (`llvm.fma` would call libm where it cannot)."""
    return _call(builder, "fmuladd", x, y, z)


def _spread(builder, like, scalar):
    """The vector with as many lanes as `like` that are all `scalar`."""
    nothing = ir.Constant(like, ir.Undefined)
    first = builder.insert_element(nothing, scalar, INT(0))
    return builder.shuffle_vector(first, nothing, _constant(like, 0, INT))


def _larger(builder, x, y):
    return builder.select(builder.fcmp_ordered(">", x, y), x, y)


def _parts(builder, row):
    return [builder.extract_value(row, i) for i in range(len(row.type.elements))]


def _row(builder, parts):
    row = ir.Constant(ir.LiteralStructType([part.type for part in parts]), ir.Undefined)
    for i, part in enumerate(parts):
        row = builder.insert_value(row, part, i)
    return row


def _across(builder, row, operation):
    """One number from all lanes of all parts, by halves."""

    def halves(vector):
        count, nothing = vector.type.count // 2, ir.Constant(vector.type, ir.Undefined)
        for start in (0, count):
            order = ir.Constant(ir.VectorType(INT, count), list(range(start, start + count)))
            yield builder.shuffle_vector(vector, nothing, order)

    def together(vector, part):  # the narrow part comes last
        if vector.type.count > part.type.count:
            vector = operation(*halves(vector))
        return operation(vector, part)

    vector = reduce(together, _parts(builder, row))
    while vector.type.count > 1:
        vector = operation(*halves(vector))
    return builder.extract_element(vector, INT(0))


def _addresses(context, builder, array_type, array, index_type, index, eights):
    """Pointers to the parts of the row that begins at that number of the array."""
    start, first = address(context, builder, array_type, array, index_type, index), 0
    for part in _row_type(eights).elements:
        yield builder.bitcast(builder.gep(start, [LONG(first)], inbounds=True), part.as_pointer())
        first += part.count


@intrinsic
def lanes(typing, width):
    """How many numbers a row of that width has, int64."""

    def code(context, builder, signature, arguments):
        return LONG(width.count * LANES)

    return types.int64(width), code


@intrinsic
def load_row(typing, rows, start, width):
    """The row that begins at rows.flat[start], float32."""

    def code(context, builder, signature, arguments):
        addresses = _addresses(context, builder, rows, arguments[0], start, arguments[1], width.count)
        return _row(builder, [builder.load(place, align=4) for place in addresses])

    return LabelRow(width.count)(rows, start, width), code


@intrinsic
def store(typing, rows, start, value):
    """Writes the row `value` from rows.flat[start] on, float32."""

    def code(context, builder, signature, arguments):
        addresses = _addresses(context, builder, rows, arguments[0], start, arguments[1], value.eights)
        for part, place in zip(_parts(builder, arguments[2]), addresses, strict=True):
            builder.store(part, place, align=4)
        return context.get_dummy_value()

    return types.void(rows, start, value), code


@intrinsic
def fetch(typing, rows, start, width):
    """Asks for the cache lines of the row at rows.flat[start], which will be needed soon."""

    def code(context, builder, signature, arguments):
        addresses = _addresses(context, builder, rows, arguments[0], start, arguments[1], width.count)
        for place in addresses:  # a line of the cache has 64 bytes, a part no more
            byte = builder.bitcast(place, ir.IntType(8).as_pointer())
            kind = ir.FunctionType(ir.VoidType(), [byte.type, INT, INT, INT])
            function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
            builder.call(function, [byte, INT(0), INT(3), INT(1)])  # to read, to keep, data
        return context.get_dummy_value()

    return types.void(rows, start, width), code


@intrinsic
def zeros(typing, width):
    """A row of zeros."""

    def code(context, builder, signature, arguments):
        return ir.Constant(_row_type(width.count), None)

    return LabelRow(width.count)(width), code


@intrinsic
def add(typing, x, y):
    """x + y, of two rows."""

    def code(context, builder, signature, arguments):
        both = zip(_parts(builder, arguments[0]), _parts(builder, arguments[1]), strict=True)
        return _row(builder, [builder.fadd(a, b) for a, b in both])

    return x(x, y), code


@intrinsic
def multiply(typing, x, y):
    """x · y, lane by lane."""

    def code(context, builder, signature, arguments):
        both = zip(_parts(builder, arguments[0]), _parts(builder, arguments[1]), strict=True)
        return _row(builder, [builder.fmul(a, b) for a, b in both])

    return x(x, y), code


@intrinsic
def scale(typing, x, factor):
    """x · factor, a row by a number."""

    def code(context, builder, signature, arguments):
        f = context.cast(builder, arguments[1], factor, types.float32)
        parts = _parts(builder, arguments[0])
        return _row(builder, [builder.fmul(part, _spread(builder, part.type, f)) for part in parts])

    return x(x, factor), code


@intrinsic
def shift(typing, x, by):
    """x - by, a row less a number."""

    def code(context, builder, signature, arguments):
        f = context.cast(builder, arguments[1], by, types.float32)
        parts = _parts(builder, arguments[0])
        return _row(builder, [builder.fsub(part, _spread(builder, part.type, f)) for part in parts])

    return x(x, by), code


@intrinsic
def add_scaled(typing, x, factor, y):
    """x + factor · y, of two rows and a number; fused where the processor can."""

    def code(context, builder, signature, arguments):
        f = context.cast(builder, arguments[1], factor, types.float32)
        both = zip(_parts(builder, arguments[0]), _parts(builder, arguments[2]), strict=True)
        return _row(builder, [_multiply_add(builder, _spread(builder, b.type, f), b, a) for a, b in both])

    return x(x, factor, y), code


@intrinsic
def total(typing, x):
    """The sum of the lanes, float32; by halves, so in another order than a loop."""

    def code(context, builder, signature, arguments):
        return _across(builder, arguments[0], builder.fadd)

    return types.float32(x), code


@intrinsic
def largest_where(typing, x, condition):
    """The largest lane of x among those where `condition` is above 0, float32."""

    def code(context, builder, signature, arguments):
        both = zip(_parts(builder, arguments[0]), _parts(builder, arguments[1]), strict=True)
        kept = []
        for part, c in both:
            positive = builder.fcmp_ordered(">", c, _constant(c.type, 0.0))
            kept.append(builder.select(positive, part, _constant(part.type, -3e38)))
        return _across(builder, _row(builder, kept), lambda a, b: _larger(builder, a, b))

    return types.float32(x, condition), code


LOG2_E = 1.44269504
ROUNDING = 1.5 * 2**23  # float32 has no digits after the point there
# Of 2^x where |x| <= 1/2, with the smallest relative error that degree 5 allows: 9e-8, half a rounding.
POLYNOMIAL = (0.0013264727, 0.0096715126, 0.0555073374, 0.2402224209, 0.6931469776, 1.0)


@intrinsic
def exp(typing, x):
    """e^x, but never below 2^-60 (denormal numbers would take ten times as long) nor above 2^126."""

    def code(context, builder, signature, arguments):
        return _row(builder, [_exp(builder, part) for part in _parts(builder, arguments[0])])

    return x(x), code


def _exp(builder, x):
    def constant(value, element=FLOAT):
        return _constant(x.type, value, element)

    x = _larger(builder, builder.fmul(x, constant(LOG2_E)), constant(-60.0))
    x = builder.select(builder.fcmp_ordered("<", x, constant(126.0)), x, constant(126.0))
    shifted = builder.fadd(x, constant(ROUNDING))  # to a whole number, which stands in its last bits
    rest = builder.fsub(x, builder.fsub(shifted, constant(ROUNDING)))
    result = constant(POLYNOMIAL[0])
    for coefficient in POLYNOMIAL[1:]:
        result = _multiply_add(builder, result, rest, constant(coefficient))
    ints = ir.VectorType(INT, x.type.count)
    exponent = builder.shl(builder.bitcast(shifted, ints), constant(23, INT))
    return builder.bitcast(builder.add(builder.bitcast(result, ints), exponent), x.type)


@intrinsic
def first_largest(typing, x):
    """The index of the first lane that holds the largest value, int64."""

    def code(context, builder, signature, arguments):
        highest = _across(builder, arguments[0], lambda a, b: _larger(builder, a, b))
        index, end = LONG(0), x.eights * LANES
        for part in reversed(_parts(builder, arguments[0])):
            end -= part.type.count
            kind = ir.IntType(part.type.count)
            is_highest = builder.fcmp_ordered("==", part, _spread(builder, part.type, highest))
            mask = builder.bitcast(is_highest, kind)
            here = builder.zext(builder.cttz(mask, ir.IntType(1)(0)), LONG)
            found = builder.icmp_unsigned("!=", mask, kind(0))
            index = builder.select(found, builder.add(here, LONG(end)), index)
        return index

    return types.int64(x), code
