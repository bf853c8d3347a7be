"""Machine instructions that Numba does not offer by name, as intrinsics (re-exported by :mod:`deras.core.jit`).

All loads and stores are little-endian, of any alignment. An index counts bytes (``prefetch``: rows) of an array; an
address is an int64 from ``array.ctypes.data``. Nothing is checked, except that with ``DERAS_BOUNDSCHECK=1`` every
access through an array raises ``IndexError`` where it would leave the array.
"""

# An intrinsic's parameters are named for its callers and typed by Numba.
# ruff: noqa: ARG001
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

import os
import sys
from collections.abc import Callable  # noqa: TC003
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic as _intrinsic
from numba.np import arrayobj

# Numba's type tells the wrong number of arguments: the first one is not the caller's.
intrinsic: Callable[[Callable[..., Any]], Callable[..., Any]] = _intrinsic

BOUNDSCHECK = os.environ.get("DERAS_BOUNDSCHECK", "") not in ("", "0")
"""Whether kernels check every array access (slow; for tests). Read once, when this module is imported."""

if sys.byteorder != "little":
    raise ImportError("Deras runs on little-endian machines only (x86-64, ARM64)")

_I1, _I8, _I32, _I64 = ir.IntType(1), ir.IntType(8), ir.IntType(32), ir.IntType(64)
_I128 = ir.IntType(128)
_V32 = ir.VectorType(_I8, 32)


def _place(context: Any, builder: Any, array_type: Any, array: Any, index: Any, width: Any) -> Any:
    """The pointer to a byte of an array, checked if asked."""
    made = arrayobj.make_array(array_type)(context, builder, array)
    if BOUNDSCHECK:
        size = builder.mul(
            made.nitems, ir.Constant(_I64, context.get_abi_sizeof(context.get_data_type(array_type.dtype)))
        )
        low = builder.icmp_signed("<", index, ir.Constant(_I64, 0))
        high = builder.icmp_signed(">", builder.add(index, width), size)
        with builder.if_then(builder.or_(low, high), likely=False):
            context.call_conv.return_user_exc(builder, IndexError, ("kernel access outside of the array",))
    return builder.gep(builder.bitcast(made.data, _I8.as_pointer()), [index])


def _load(builder: Any, pointer: Any, type_: Any) -> Any:
    value = builder.load(builder.bitcast(pointer, type_.as_pointer()))
    value.align = 1
    return value


def _store(builder: Any, value: Any, pointer: Any, type_: Any) -> None:
    builder.store(value, builder.bitcast(pointer, type_.as_pointer())).align = 1


def _n(value: int) -> Any:
    return ir.Constant(_I64, value)


def _splat(byte: int) -> Any:
    return ir.Constant(_V32, [byte] * 32)


@intrinsic
def load64(typing: Any, array: Any, index: Any) -> Any:
    """``load64(bytes, i) -> uint64``: the eight bytes at index i."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _load(builder, _place(context, builder, signature.args[0], args[0], args[1], _n(8)), _I64)

    return types.uint64(array, types.int64), codegen


@intrinsic
def load8(typing: Any, array: Any, index: Any) -> Any:
    """``load8(bytes, i) -> uint8``: as ``bytes[i]``, without Numba's handling of negative indices."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _load(builder, _place(context, builder, signature.args[0], args[0], args[1], _n(1)), _I8)

    return types.uint8(array, types.int64), codegen


@intrinsic
def load32(typing: Any, array: Any, index: Any) -> Any:
    """``load32(bytes, i) -> uint32``: the four bytes at index i."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _load(builder, _place(context, builder, signature.args[0], args[0], args[1], _n(4)), _I32)

    return types.uint32(array, types.int64), codegen


@intrinsic
def store64(typing: Any, array: Any, index: Any, value: Any) -> Any:
    """``store64(bytes, i, x)``: eight bytes of a uint64 to index i."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        _store(builder, args[2], _place(context, builder, signature.args[0], args[0], args[1], _n(8)), _I64)
        return context.get_dummy_value()

    return types.void(array, types.int64, types.uint64), codegen


@intrinsic
def load64_at(typing: Any, address: Any) -> Any:
    """``load64_at(address) -> uint64``: the eight bytes at a raw address."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _load(builder, builder.inttoptr(args[0], _I8.as_pointer()), _I64)

    return types.uint64(types.int64), codegen


@intrinsic
def load8_at(typing: Any, address: Any) -> Any:
    """``load8_at(address) -> uint8``: the byte at a raw address."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _load(builder, builder.inttoptr(args[0], _I8.as_pointer()), _I8)

    return types.uint8(types.int64), codegen


def _mask(build: Any) -> Any:
    """An intrinsic's code: 32 bytes at (array, index) to a uint32 with a bit for each that ``build`` picks."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        v = _load(builder, _place(context, builder, signature.args[0], args[0], args[1], _n(32)), _V32)
        return builder.bitcast(build(builder, v, args[2:]), _I32)

    return codegen


@intrinsic
def string_stops(typing: Any, array: Any, index: Any) -> Any:
    """``string_stops(bytes, i) -> uint32``: bit b set for a quote, backslash, control byte or byte >= 0x80 at i + b."""

    def build(builder: Any, v: Any, _: Any) -> Any:
        stop = builder.icmp_unsigned("==", v, _splat(34))
        stop = builder.or_(stop, builder.icmp_unsigned("==", v, _splat(92)))
        return builder.or_(stop, builder.icmp_signed("<", v, _splat(32)))  # signed: bytes >= 0x80 are negative

    return types.uint32(array, types.int64), _mask(build)


@intrinsic
def quote_stops(typing: Any, array: Any, index: Any) -> Any:
    """``quote_stops(bytes, i) -> uint32``: bit b set where byte i + b is a quote, a backslash or a control byte."""

    def build(builder: Any, v: Any, _: Any) -> Any:
        stop = builder.icmp_unsigned("==", v, _splat(34))
        stop = builder.or_(stop, builder.icmp_unsigned("==", v, _splat(92)))
        return builder.or_(stop, builder.icmp_unsigned("<", v, _splat(32)))

    return types.uint32(array, types.int64), _mask(build)


@intrinsic
def high_bytes(typing: Any, array: Any, index: Any) -> Any:
    """``high_bytes(bytes, i) -> uint32``: bit b set where byte i + b is >= 0x80."""

    def build(builder: Any, v: Any, _: Any) -> Any:
        return builder.icmp_signed("<", v, _splat(0))

    return types.uint32(array, types.int64), _mask(build)


@intrinsic
def match2(typing: Any, array: Any, index: Any, first: Any, second: Any) -> Any:
    """``match2(bytes, i, a, b) -> uint32``: bit k set where byte i + k equals a or b."""

    def build(builder: Any, v: Any, bytes_: Any) -> Any:
        empty = ir.Constant(_V32, ir.Undefined)
        zeros = ir.Constant(ir.VectorType(_I32, 32), [0] * 32)
        found = None
        for byte in bytes_:
            one = builder.insert_element(empty, byte, ir.Constant(_I32, 0))
            same = builder.icmp_unsigned("==", v, builder.shuffle_vector(one, empty, zeros))
            found = same if found is None else builder.or_(found, same)
        return found

    return types.uint32(array, types.int64, types.uint8, types.uint8), _mask(build)


@intrinsic
def trailing_zeros(typing: Any, mask: Any) -> Any:
    """``trailing_zeros(mask) -> int64`` of a uint32 or uint64 that is not 0 (of 0: anything)."""
    if not isinstance(mask, types.Integer):
        return None

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        found = builder.cttz(args[0], ir.Constant(_I1, 1))
        return found if found.type == _I64 else builder.zext(found, _I64)

    narrow = getattr(mask, "bitwidth", 64) <= 32
    return types.int64(types.uint32 if narrow else types.uint64), codegen


@intrinsic
def leading_zeros(typing: Any, mask: Any) -> Any:
    """``leading_zeros(x) -> int64`` of a uint64 that is not 0 (of 0: anything)."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.ctlz(args[0], ir.Constant(_I1, 1))

    return types.int64(types.uint64), codegen


@intrinsic
def population(typing: Any, mask: Any) -> Any:
    """``population(x) -> int64``: the number of set bits of a uint64."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.ctpop(args[0])

    return types.int64(types.uint64), codegen


@intrinsic
def multiply_high(typing: Any, a: Any, b: Any) -> Any:
    """``multiply_high(a, b) -> uint64``: the upper half of the 128-bit product of two uint64."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        wide = builder.mul(builder.zext(args[0], _I128), builder.zext(args[1], _I128))
        return builder.trunc(builder.lshr(wide, ir.Constant(_I128, 64)), _I64)

    return types.uint64(types.uint64, types.uint64), codegen


@intrinsic
def float_bits(typing: Any, bits: Any) -> Any:
    """``float_bits(x) -> float64``: the double with the bits of a uint64."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], ir.DoubleType())

    return types.float64(types.uint64), codegen


def _prefetch(builder: Any, pointer: Any) -> None:
    i8p = _I8.as_pointer()
    f = cgutils.get_or_insert_function(
        builder.module, ir.FunctionType(ir.VoidType(), [i8p, _I32, _I32, _I32]), "llvm.prefetch.p0i8"
    )
    builder.call(f, [pointer, *(ir.Constant(_I32, x) for x in (0, 3, 1))])


@intrinsic
def prefetch(typing: Any, array: Any, row: Any) -> Any:
    """``prefetch(array, row)``: ask for the cache line where a row of a C-contiguous array begins. Never faults."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        made = arrayobj.make_array(signature.args[0])(context, builder, args[0])
        step = builder.extract_value(made.strides, 0)
        pointer = builder.gep(builder.bitcast(made.data, _I8.as_pointer()), [builder.mul(args[1], step)])
        _prefetch(builder, pointer)
        return context.get_dummy_value()

    return types.void(array, types.int64), codegen


@intrinsic
def prefetch_at(typing: Any, address: Any) -> Any:
    """``prefetch_at(address)``: ask for the cache line of a raw address. Never faults."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        _prefetch(builder, builder.inttoptr(args[0], _I8.as_pointer()))
        return context.get_dummy_value()

    return types.void(types.int64), codegen


@intrinsic
def copy_from(typing: Any, array: Any, index: Any, address: Any, length: Any) -> Any:
    """``copy_from(bytes, i, address, n)``: n bytes from a raw address to index i (no overlap)."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        place = _place(context, builder, signature.args[0], args[0], args[1], args[3])
        cgutils.raw_memcpy(builder, place, builder.inttoptr(args[2], _I8.as_pointer()), args[3], _n(1))
        return context.get_dummy_value()

    return types.void(array, types.int64, types.int64, types.int64), codegen


@intrinsic
def copy32(typing: Any, array: Any, index: Any, source: Any, at: Any) -> Any:
    """``copy32(bytes, i, source, k)``: 32 bytes from index k of ``source`` to index i."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        v = _load(builder, _place(context, builder, signature.args[2], args[2], args[3], _n(32)), _V32)
        _store(builder, v, _place(context, builder, signature.args[0], args[0], args[1], _n(32)), _V32)
        return context.get_dummy_value()

    return types.void(array, types.int64, array if source is array else source, types.int64), codegen


@intrinsic
def copy32_at(typing: Any, array: Any, index: Any, address: Any) -> Any:
    """``copy32_at(bytes, i, address)``: 32 bytes from a raw address to index i."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        v = _load(builder, builder.inttoptr(args[2], _I8.as_pointer()), _V32)
        _store(builder, v, _place(context, builder, signature.args[0], args[0], args[1], _n(32)), _V32)
        return context.get_dummy_value()

    return types.void(array, types.int64, types.int64), codegen
