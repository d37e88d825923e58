"""Products of matrices, and everything that is one.

Y = A B means Yᵢⱼ = Σₖ Aᵢₖ Bₖⱼ. A change of Aᵢₖ changes row i of Y by Bₖⱼ, so dAᵢₖ = Σⱼ dYᵢⱼ Bₖⱼ, which is dA = dY Bᵀ;
in the same way dB = Aᵀ dY. The shapes leave no other choice: (m, k) = (m, n)·(n, k).
"""

from __future__ import annotations

import math
import string
from typing import Any

import numpy as np

from .. import kernels
from ..autograd.op import Op
from ..autograd.variable import Variable, namespace, wrap
from ..errors import ShapeError
from .common import HALF, SINGLE, in_dtype, promote, same_device, sum_to, tensor_of
from .shape import diagonal, permute
from .sums import total


class MatMul(Op, kernel="matmul.choose.matmul"):
    """Y = A B over the last two axes, broadcast over those before.   dA = dY Bᵀ, dB = Aᵀ dY."""

    @staticmethod
    def compute(a: Any, b: Any) -> Any:
        return a @ b

    @staticmethod
    def keep(ctx: Any, y: Any, a: Any, b: Any) -> Any:
        ctx.saved = (a if ctx.needs(1) else None, b if ctx.needs(0) else None)
        ctx.options = a.shape, b.shape
        return y

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        (a, b), (shape_a, shape_b) = ctx.saved, ctx.options
        da = sum_to(dy @ b.swapaxes(-1, -2), shape_a) if ctx.needs(0) else None
        db = sum_to(a.swapaxes(-1, -2) @ dy, shape_b) if ctx.needs(1) else None
        return da, db

    @staticmethod
    def check(a: Any, b: Any) -> None:
        if a.shape[-1] != b.shape[-2]:
            raise ShapeError(
                f"matmul: shapes {a.shape} and {b.shape}: the last axis of the first ({a.shape[-1]}) must equal the "
                f"second-to-last of the second ({b.shape[-2]})"
            )
        raise ShapeError(f"matmul: the leading axes of shapes {a.shape} and {b.shape} do not broadcast")


def _rows(x: Any) -> Any:
    """(…, n) → (N, n), also where n is 0 and a size of -1 would say nothing."""
    return x.reshape((math.prod(x.shape[:-1]), x.shape[-1]))


class Linear(Op, kernel="matmul.choose.linear"):
    """y = x Wᵀ + b, x (…, in), W (out, in), b (out).

    With rows of x as samples: dx = dy W, dW = dyᵀ x (each sample adds its outer product), and db = Σ dy over samples.
    """

    @staticmethod
    def compute(x: Any, w: Any, b: Any) -> Any:
        if x.ndim == 0 or w.ndim != 2 or x.shape[-1] != w.shape[1] or (b is not None and b.shape != (w.shape[0],)):
            Linear.check(x, w, b)
        y = (x if x.ndim == 2 else _rows(x)) @ w.T  # (N, in) → (N, out)
        if b is not None:
            y += b
        return y if x.ndim == 2 else y.reshape((*x.shape[:-1], w.shape[0]))

    @staticmethod
    def keep(ctx: Any, y: Any, x: Any, w: Any, b: Any) -> Any:
        ctx.saved = (x if ctx.needs(1) else None, w if ctx.needs(0) else None)
        ctx.options = x.shape, w.shape
        return y

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        (x, w), (shape, _) = ctx.saved, ctx.options
        return Linear.gradients(ctx.needs, dy, x, w, shape)

    @staticmethod
    def gradients(needs: Any, dy: Any, x: Any, w: Any, shape: tuple[int, ...]) -> Any:
        """(dx, dW, db) as the docstring derives them, for x of this shape."""
        if dy.ndim != 2:
            dy = _rows(dy)  # (…, out) → (N, out)
        dx = (dy @ w).reshape(shape) if needs(0) else None
        dw = dy.swapaxes(0, 1) @ _rows(x) if needs(1) else None
        return dx, dw, total(dy, 0) if needs(2) else None

    @staticmethod
    def check(x: Any, w: Any, b: Any) -> None:
        if w.ndim != 2:
            raise ShapeError(f"Linear: weight must have 2 axes (out, in), got shape {w.shape}")
        if x.ndim == 0 or x.shape[-1] != w.shape[1]:
            got = x.shape[-1] if x.ndim else "no"
            raise ShapeError(
                f"Linear: input has {got} features in its last axis (shape {x.shape}), weight expects {w.shape[1]} "
                f"(shape {w.shape})."
            )
        if b is not None and b.shape != (w.shape[0],):
            raise ShapeError(f"Linear: bias has shape {b.shape}, weight of shape {w.shape} expects ({w.shape[0]},)")


class Einsum(Op):
    """Einstein's summation over labelled axes, e.g. "bij,bjk->bik".

    The product's derivative with respect to one operand is the sum of dy times all *other* operands, labelled by that
    operand's axes. So the rule is an einsum again, with dy in the operand's place. A label that only this operand
    has was summed away alone, and its gradient is repeated along that axis.
    """

    @staticmethod
    def forward(ctx: Any, *args: Any) -> Any:
        *xs, inputs, output = args
        if kernels.enabled() and type(xs[0]) is np.ndarray:
            kernels.load()  # leaves BLAS one thread, on which its rounding depends: now as at any later time
        ctx.inputs, ctx.output, ctx.shapes = inputs, output, [x.shape for x in xs]
        ctx.saved = tuple(xs)
        y = _sum_of_products(inputs, output, xs)
        return y if y.base is None else y.copy()  # NumPy gives a view where axes only change places

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        xp = namespace(dy)
        grads: list[Any] = []
        for i, labels in enumerate(ctx.inputs):
            if not ctx.needs(i):
                grads.append(None)
                continue
            others = [j for j in range(len(ctx.inputs)) if j != i]
            known = set(ctx.output).union(*[ctx.inputs[j] for j in others])
            reached = "".join(c for c in labels if c in known)
            parts, factors = [ctx.output, *[ctx.inputs[j] for j in others]], [dy, *[ctx.saved[j] for j in others]]
            g = _sum_of_products(parts, reached, factors)
            if reached != labels:
                shape = tuple(n if c in known else 1 for c, n in zip(labels, ctx.shapes[i], strict=True))
                g = xp.broadcast_to(g.reshape(shape), ctx.shapes[i])
            grads.append(g)
        return tuple(grads)


def _sum_of_products(inputs: Any, output: str, xs: Any) -> Any:
    """Einstein's sum of arrays or Tensors. A label that one array alone has is summed first, and float16 in float32."""
    if isinstance(xs[0], Variable):
        return Variable.namespace.einsum(",".join(inputs) + "->" + output, *xs)
    dtype, terms, operands = xs[0].dtype, [], []
    for i, (labels, x) in enumerate(zip(inputs, xs, strict=True)):
        known = set(output).union(*inputs[:i], *inputs[i + 1 :])
        alone = tuple(axis for axis, c in enumerate(labels) if c not in known)
        x = x.astype(SINGLE) if dtype == HALF else x
        operands.append(total(x, alone) if alone else x)
        terms.append("".join(c for c in labels if c in known))
    options = {"optimize": True} if len(xs) > 1 else {}
    return in_dtype(namespace(xs[0]).einsum(",".join(terms) + "->" + output, *operands, **options), dtype)


# --- the functions users call ----------------------------------------------------------------------------------------


def matmul(input: Any, other: Any) -> Any:
    """The matrix product over the last two axes, with broadcasting over the others.

    A 1-D first operand is a row, a 1-D second one a column; that axis is then taken out of the result.

    Raises:
        ShapeError: the inner sizes differ, the leading axes do not broadcast, or an operand has no axis.
    """
    a, b = tensor_of(input, "matmul"), tensor_of(other, "matmul", "other")
    if a._array.dtype is not b._array.dtype:
        a, b = promote(a, b)
    n, m = a._array.ndim, b._array.ndim
    if n == 2 and m == 2:
        return MatMul.apply(a, b)
    if n == 0 or m == 0:
        raise ShapeError(
            f"matmul: both operands need at least one axis, got shapes {a._array.shape} and {b._array.shape}; use *"
        )
    if n == 1 and m == 1:
        if a._array.shape != b._array.shape:
            raise ShapeError(f"matmul: vectors of sizes {a._array.shape[0]} and {b._array.shape[0]} have no product")
        return (a * b).sum(dtype=a._array.dtype)
    if n == 1:
        return matmul(a.reshape(1, -1), b).squeeze(-2)
    if m == 1:
        return matmul(a, b.reshape(-1, 1)).squeeze(-1)
    if m == 2:  # one product of tall matrices instead of many small ones
        if a._array.shape[-1] != b._array.shape[0]:
            MatMul.check(a._array, b._array)
        return MatMul.apply(_rows(a), b).reshape(*a._array.shape[:-1], b._array.shape[-1])
    return MatMul.apply(a, b)


def _product(name: str, a: Any, b: Any, axes: int) -> Any:
    a, b = tensor_of(a, name), tensor_of(b, name, "other")
    if a._array.ndim != axes or b._array.ndim != axes:
        raise ShapeError(
            f"{name}: expected two tensors of {axes} axes, got shapes {a._array.shape} and {b._array.shape}"
        )
    return matmul(a, b)


def mm(input: Any, mat2: Any) -> Any:
    """The product of two matrices, (n, k) · (k, m) → (n, m)."""
    return _product("mm", input, mat2, 2)


def bmm(input: Any, mat2: Any) -> Any:
    """Products of matrices, batch by batch: (B, n, k) · (B, k, m) → (B, n, m)."""
    if tensor_of(input, "bmm")._array.shape[:1] != tensor_of(mat2, "bmm", "mat2")._array.shape[:1]:
        raise ShapeError(f"bmm: batches differ in shapes {input._array.shape} and {mat2._array.shape}")
    return _product("bmm", input, mat2, 3)


def mv(input: Any, vec: Any) -> Any:
    """A matrix times a vector, (n, k) · (k) → (n)."""
    if tensor_of(input, "mv")._array.ndim != 2 or tensor_of(vec, "mv", "vec")._array.ndim != 1:
        raise ShapeError(f"mv: expected a matrix and a vector, got shapes {input._array.shape} and {vec._array.shape}")
    return matmul(input, vec)


def dot(input: Any, tensor: Any) -> Any:
    """Σᵢ aᵢ bᵢ of two vectors."""
    return _product("dot", input, tensor, 1)


def outer(input: Any, vec2: Any) -> Any:
    """All products aᵢ bⱼ of two vectors: (n), (m) → (n, m)."""
    a, b = tensor_of(input, "outer"), tensor_of(vec2, "outer", "vec2")
    if a._array.ndim != 1 or b._array.ndim != 1:
        raise ShapeError(f"outer: expected two vectors, got shapes {a._array.shape} and {b._array.shape}")
    return a.reshape(-1, 1) * b


def linear(input: Any, weight: Any, bias: Any = None) -> Any:
    """y = x Wᵀ + b: x (…, in), weight (out, in), bias (out) or None → (…, out).

    Raises:
        ShapeError: the last axis of x, or the bias, does not fit the weight.
    """
    if not (isinstance(input, Variable) and isinstance(weight, Variable)):
        tensor_of(input, "linear")
        tensor_of(weight, "linear", "weight")
    if input._array.dtype is not weight._array.dtype:
        input, weight = promote(input, weight)
    if weight._array.ndim == 1:
        return matmul(input, weight) if bias is None else matmul(input, weight) + bias
    return Linear.apply(input, weight, bias)


def bilinear(input1: Any, input2: Any, weight: Any, bias: Any = None) -> Any:
    """y_o = x₁ᵀ W_o x₂ + b_o: x₁ (…, in₁), x₂ (…, in₂), weight (out, in₁, in₂), bias (out) or None → (…, out).

    As products of matrices: x₁ times all W_o side by side, (…, out, in₂), and that times x₂. Source:
    torch.nn.functional.bilinear.

    Raises:
        ShapeError: sizes that do not fit the weight, or leading axes that differ.
    """
    x1, x2, w = (tensor_of(t, "bilinear", n) for t, n in ((input1, "input1"), (input2, "input2"), (weight, "weight")))
    shapes = x1._array.shape, x2._array.shape, w._array.shape
    if len(shapes[2]) != 3 or (shapes[0][-1:], shapes[1][-1:]) != (shapes[2][1:2], shapes[2][2:]):
        raise ShapeError(
            f"bilinear: weight must be (out, in1, in2), got {shapes[2]} for inputs {shapes[0]}, {shapes[1]}"
        )
    if shapes[0][:-1] != shapes[1][:-1]:
        raise ShapeError(f"bilinear: inputs of shapes {shapes[0]} and {shapes[1]} differ in their leading axes")
    outputs, first, second = shapes[2]
    halfway = linear(x1, w.permute(0, 2, 1).reshape(outputs * second, first)).reshape(*shapes[0][:-1], outputs, second)
    y = matmul(halfway, x2.unsqueeze(-1)).squeeze(-1)
    return y if bias is None else y + bias


def einsum(equation: str, *operands: Any) -> Any:
    """Sums of products over labelled axes: ``einsum("ij,jk->ik", a, b)`` is the matrix product.

    Labels are single letters; one that is missing from the output is summed over; "..." stands for leading axes that
    broadcast; without "->" the output holds every label that occurs once, in alphabetical order; a label twice in one
    operand takes its diagonal. Source: numpy.einsum, torch.einsum.

    Raises:
        ShapeError: labels and axes do not match, or one label stands for two sizes.
        DeviceError: the operands are on different devices.
    """
    xs = list(operands[0]) if len(operands) == 1 and isinstance(operands[0], (list, tuple)) else list(operands)
    xs = [tensor_of(x, "einsum", f"operand {i}") for i, x in enumerate(xs)]
    # CuPy's einsum would copy what lies on the CPU to the GPU, and a gradient would come back on the wrong one.
    same_device("einsum", **{f"operand_{i}": x for i, x in enumerate(xs)})
    inputs, output, xs = _labels(equation, xs)
    for i in range(1, len(xs)):
        if xs[i]._array.dtype is not xs[0]._array.dtype:
            xs[0], xs[i] = promote(xs[0], xs[i])
    sizes: dict[str, int] = {}
    for labels, x in zip(inputs, xs, strict=True):
        for c, n in zip(labels, x._array.shape, strict=True):
            if sizes.setdefault(c, n) != n:
                raise ShapeError(f"einsum: label {c!r} of {equation!r} stands for sizes {sizes[c]} and {n}")
    if len(xs) == 1 and len(output) == len(inputs[0]):
        return permute(xs[0], [inputs[0].index(c) for c in output])  # nothing is summed: a view, as in PyTorch
    return Einsum.apply(*xs, tuple(inputs), output)


def _labels(equation: str, xs: list[Any]) -> tuple[list[str], str, list[Any]]:
    """(labels of each operand, labels of the output, operands) with "..." spelled out and no label twice in one."""
    left, arrow, right = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    if len(terms) != len(xs):
        raise ShapeError(f"einsum: {equation!r} has {len(terms)} operand(s), got {len(xs)}")
    letters = left.replace(",", "").replace("...", "")
    if not all(c in string.ascii_letters for c in letters + right.replace("...", "")):
        raise ShapeError(f"einsum: labels must be single letters, got {equation!r}")
    free = [c for c in string.ascii_letters if c not in letters + right]
    widths = []
    for term, x in zip(terms, xs, strict=True):
        named = len(term.replace("...", ""))
        if x._array.ndim < named or (x._array.ndim > named and "..." not in term):
            raise ShapeError(
                f"einsum: {term!r} of {equation!r} labels {named} axes, the operand has shape {x._array.shape}"
            )
        widths.append(x._array.ndim - named)
    dots = [free.pop(0) for _ in range(max((w for w, t in zip(widths, terms, strict=True) if "..." in t), default=0))]
    inputs: list[str] = []
    operands: list[Any] = []
    for term, x, width in zip(terms, xs, widths, strict=True):
        labels = term.replace("...", "".join(dots[len(dots) - width :]))
        shape = x._array.shape
        # An axis of "..." that broadcasts (size 1) is left out; the operands that have it in full keep the label.
        drop = [i for i, c in enumerate(labels) if c in dots and shape[i] == 1 and len(xs) > 1]
        if drop:
            x = x.reshape(*[n for i, n in enumerate(shape) if i not in drop])
            labels = "".join(c for i, c in enumerate(labels) if i not in drop)
        for c in sorted({c for c in labels if labels.count(c) > 1}):
            while labels.count(c) > 1:  # two axes become one, which comes last
                i = labels.index(c)
                j = labels.index(c, i + 1)
                if x._array.shape[i] != x._array.shape[j]:
                    raise ShapeError(f"einsum: label {c!r} of {equation!r} stands for two sizes in shape {shape}")
                x, labels = diagonal(x, 0, i, j), labels[:i] + labels[i + 1 : j] + labels[j + 1 :] + c
        inputs.append(labels)
        operands.append(x)
    if arrow:
        output = right.replace("...", "".join(dots))
    else:
        output = "".join(dots) + "".join(sorted(c for c in set(letters) if letters.count(c) == 1))
    known = set("".join(inputs))
    for c in output:
        if c not in known and c in dots:  # every operand had size 1 there
            inputs.append(c)
            operands.append(wrap(namespace(xs[0]._array).ones(1, dtype=xs[0]._array.dtype)))
        elif c not in known:
            raise ShapeError(f"einsum: output label {c!r} of {equation!r} occurs in no operand")
    if len(set(output)) != len(output):
        raise ShapeError(f"einsum: the output of {equation!r} names a label twice")
    return inputs, output, operands
