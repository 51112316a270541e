"""Neural-network functions on anything that can be a Tensor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from martlet import _interop, _martlet
from martlet._martlet import Tensor

#: A Tensor, a NumPy array, anything with a buffer or ``__dlpack__``, or a number.
TensorLike = Any


def tensor(data: TensorLike, dtype: Any = None) -> Tensor:
    """A Tensor of ``data``, which may also be nested lists of numbers.

    Memory is shared where the layout allows; ``Tensor.copy`` gives memory of its own.
    """
    if isinstance(data, (list, tuple)):
        return _interop.from_nested(data, dtype)
    return Tensor(data, dtype)


def from_bytes(data: bytes, dtype: Any, shape: Sequence[int]) -> Tensor:
    """A Tensor of its own of these bytes: row-major, elements of less than a byte packed.

    ``Tensor.tobytes`` gives such bytes; they are ONNX's ``raw_data``.
    """
    return _martlet.from_bytes(bytes(data), dtype, tuple(shape))


def from_dlpack(data: Any) -> Tensor:
    """A Tensor over the memory of an object with ``__dlpack__``; read-only stays read-only."""
    return _martlet.from_dlpack(data)


def matmul(lhs: TensorLike, rhs: TensorLike, *, mode: str | None = None) -> Tensor:
    """Matrix product ``lhs @ rhs`` with NumPy's broadcasting.

    Parameters
    ----------
    lhs : [..., M, K] or [K]
    rhs : [..., K, N] or [K]
        Both of one dtype.
    mode : str, optional
        This call's own fast-math mode.

    Returns
    -------
    Tensor [..., M, N]
    """
    return _martlet.matmul(lhs, rhs, mode)


def linear(
    x: TensorLike,
    weight: TensorLike,
    bias: TensorLike | None = None,
    *,
    mode: str | None = None,
) -> Tensor:
    """A fully connected layer, ``x @ weight.T + bias``: [..., K], [N, K], [N] -> [..., N]."""
    return _martlet.linear(x, weight, bias, mode)


def conv1d(
    x: TensorLike,
    weight: TensorLike,
    bias: TensorLike | None = None,
    stride: int | Sequence[int] = 1,
    padding: int | str | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
    *,
    mode: str | None = None,
) -> Tensor:
    """Convolution over one axis; parameters as `conv2d`."""
    return _conv(1, x, weight, bias, stride, padding, dilation, groups, mode)


def conv2d(
    x: TensorLike,
    weight: TensorLike,
    bias: TensorLike | None = None,
    stride: int | Sequence[int] = 1,
    padding: int | str | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
    *,
    mode: str | None = None,
) -> Tensor:
    """Convolution (cross-correlation) over two axes.

    Parameters
    ----------
    x : [batch, C, H, W]
    weight : [M, C / groups, KH, KW]
    bias : [M], optional
    stride, dilation : int or one per axis
    padding : int, one per axis, all leading then all trailing pads, "valid" (0), or "same"
        ("same" needs stride 1; an odd pixel goes to the end).
    groups : int
    mode : str, optional
        This call's own fast-math mode.

    Returns
    -------
    Tensor [batch, M, H', W']
    """
    return _conv(2, x, weight, bias, stride, padding, dilation, groups, mode)


def conv3d(
    x: TensorLike,
    weight: TensorLike,
    bias: TensorLike | None = None,
    stride: int | Sequence[int] = 1,
    padding: int | str | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
    *,
    mode: str | None = None,
) -> Tensor:
    """Convolution over three axes; parameters as `conv2d`."""
    return _conv(3, x, weight, bias, stride, padding, dilation, groups, mode)


def _conv(
    axes: int,
    x: TensorLike,
    weight: TensorLike,
    bias: TensorLike | None,
    stride: int | Sequence[int],
    padding: int | str | Sequence[int],
    dilation: int | Sequence[int],
    groups: int,
    mode: str | None,
) -> Tensor:
    strides = _per_axis(stride, axes, "stride")
    dilations = _per_axis(dilation, axes, "dilation")
    weight = Tensor(weight)
    if isinstance(padding, str):
        pads = _named_pads(padding, axes, weight, strides, dilations)
    elif isinstance(padding, int):
        pads = (padding,) * (2 * axes)
    else:
        pads = tuple(padding) * (2 if len(padding) == axes else 1)
        if len(pads) != 2 * axes:
            raise ValueError(f"padding must have 1, {axes} or {2 * axes} values, not {len(pads)}")
    return _martlet.conv(x, weight, bias, axes, strides, dilations, pads, groups, mode)


def _per_axis(value: int | Sequence[int], axes: int, what: str) -> tuple[int, ...]:
    if isinstance(value, int):
        return (value,) * axes
    if len(value) != axes:
        raise ValueError(f"{what} must have 1 or {axes} values, not {len(value)}")
    return tuple(value)


def _named_pads(
    name: str,
    axes: int,
    weight: Tensor,
    strides: tuple[int, ...],
    dilations: tuple[int, ...],
) -> tuple[int, ...]:
    if name == "valid":
        return (0,) * (2 * axes)
    if name != "same":
        raise ValueError(f"padding must be 'same', 'valid' or numbers, not {name!r}")
    if any(step != 1 for step in strides):
        raise ValueError("padding 'same' needs stride 1")
    kernel = weight.shape[-axes:]
    total = [(extent - 1) * step for extent, step in zip(kernel, dilations, strict=False)]
    return tuple(pad // 2 for pad in total) + tuple(pad - pad // 2 for pad in total)


def softmax(x: TensorLike, axis: int = -1) -> Tensor:
    """exp(x - max) / sum along one axis."""
    return _martlet.softmax(x, axis)


def layer_norm(
    x: TensorLike,
    weight: TensorLike | None = None,
    bias: TensorLike | None = None,
    *,
    axis: int = -1,
    epsilon: float = 1e-5,
) -> Tensor:
    """(x - mean) / sqrt(var + epsilon) * weight + bias over the axes from ``axis`` to the last."""
    return _martlet.layer_norm(x, weight, bias, axis, epsilon)


def gelu(x: TensorLike, approximate: str = "none") -> Tensor:
    """x/2 (1 + erf(x / sqrt 2)), or its tanh form with ``approximate="tanh"``."""
    if approximate not in ("none", "tanh"):
        raise ValueError(f"approximate must be 'none' or 'tanh', not {approximate!r}")
    return _martlet.gelu(x, approximate == "tanh")


def _unary(name: str, x: TensorLike) -> Tensor:
    return _martlet.op_run(name, (x,), {}, 1, None)[0]


def relu(x: TensorLike) -> Tensor:
    """max(x, 0)."""
    return _unary("Relu", x)


def sigmoid(x: TensorLike) -> Tensor:
    """1 / (1 + exp(-x))."""
    return _unary("Sigmoid", x)


def silu(x: TensorLike) -> Tensor:
    """x * sigmoid(x)."""
    return _unary("Swish", x)


def tanh(x: TensorLike) -> Tensor:
    """The hyperbolic tangent."""
    return _unary("Tanh", x)


def exp(x: TensorLike) -> Tensor:
    """e to the power of x."""
    return _unary("Exp", x)


def scaled_dot_product_attention(
    query: TensorLike,
    key: TensorLike,
    value: TensorLike,
    attn_mask: TensorLike | None = None,
    is_causal: bool = False,
    scale: float | None = None,
    *,
    mode: str | None = None,
) -> Tensor:
    """softmax(query @ key^T * scale + mask) @ value.

    Parameters
    ----------
    query : [batch, heads, L, D]
    key : [batch, kv_heads, S, D]
    value : [batch, kv_heads, S, Dv]
        heads is a multiple of kv_heads; leading axes may be left out, all three alike.
    attn_mask : broadcasts to [batch, heads, L, S], optional
        bool (True: may attend) or of the query's dtype (added). A query that may attend to no key
        gives zero.
    is_causal : bool
        Query i attends to keys 0 to i alone.
    scale : float, optional
        1 / sqrt(D) unless given.

    Returns
    -------
    Tensor [batch, heads, L, Dv]
    """
    if scale is not None and scale == 0:
        raise ValueError("scale must not be 0")
    return _martlet.attention(query, key, value, attn_mask, scale or 0.0, is_causal, mode)


def pack(weight: TensorLike) -> Tensor:
    """A read-only copy of a weight that is used many times.

    As the right-hand side of `matmul` or the weight of `linear` and convolutions its rearranged
    form is made once, at the first such use. Results have the same bits.
    """
    return _martlet.pack(weight)


def op(
    name: str,
    *inputs: TensorLike | None,
    outputs: int = 1,
    mode: str | None = None,
    **attributes: Any,
) -> Any:
    """Run the ONNX operator ``name`` of its newest supported opset, or one of Martlet's own.

    Parameters
    ----------
    inputs : in the operator's order, None where an optional one is left out
    outputs : how many results are wanted
    mode : this call's own fast-math mode; the attribute of that name for DepthToSpace, Pad and
        Resize, which have no products
    attributes : numbers, strings, sequences of them, or tensors

    Returns
    -------
    Tensor, or a tuple of them when ``outputs`` is more than 1

    >>> martlet.op("Concat", a, b, axis=1)
    """
    if name in _HAVE_MODE_ATTRIBUTE and mode is not None:
        attributes["mode"] = mode
        mode = None
    numbers = {key: _number(value) for key, value in attributes.items()}
    try:
        results = _martlet.op_run(name, inputs, numbers, outputs, mode)
    except _martlet.NotFoundError as error:
        if name not in (known := operators()):
            error.args = (_unknown_operator(name, known),)
        raise
    return results[0] if outputs == 1 else results


def _unknown_operator(name: str, known: list[str]) -> str:
    import difflib

    same = [other for other in known if other.lower() == name.lower()]
    near = same or difflib.get_close_matches(name, known, n=3)
    hint = f"; did you mean {' or '.join(near)}?" if near else ""
    return f"unknown operator '{name}'{hint or '; martlet.operators() lists those that there are'}"


def _number(value: Any) -> Any:
    """A NumPy scalar as a Python number, in a list or tuple too; anything else as it is."""
    if isinstance(value, (list, tuple)):
        return [_number(item) for item in value]
    is_array = isinstance(value, Tensor) or hasattr(value, "__setitem__")
    return value.item() if not is_array and getattr(value, "ndim", None) == 0 else value


_HAVE_MODE_ATTRIBUTE = frozenset({"DepthToSpace", "Pad", "Resize"})


def operators() -> list[str]:
    """The names that `op` knows; Martlet's own with their domain, which `op` need not be told."""
    return _martlet.op_names()
