"""What models and runs say of themselves."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple


class ValueInfo(NamedTuple):
    """An input or output of a model."""

    name: str
    #: None where the model does not say.
    dtype: str | None
    #: An extent is a number, the name of a symbol, or None; all is None when the rank is unknown.
    shape: tuple[int | str | None, ...] | None
    #: All that the model says: "float32[n, 3]", "sequence(int64)", "optional(float32)".
    type: str


class NodeInfo(NamedTuple):
    """What one node did in a run. The precision and what follows are None without products."""

    node: str
    #: As ONNX names it; Martlet's own, such as products that took over what follows them, with
    #: their domain: "ai.martlet.FusedMatMul".
    operator: str
    #: Of its matrix products: "fp32", "bf16", ....
    precision: str | None
    kernel: str | None
    backend: str | None
    #: Why not the mode's own precision; None when it is.
    reason: str | None
    #: Time taken; 0 unless the run was profiled.
    nanoseconds: int


class Report:
    """What the nodes of a run did: ``str(report)`` for people, ``report.nodes`` for programs."""

    def __init__(self, text: str, nodes: tuple[NodeInfo, ...]) -> None:
        self.text = text
        self.nodes = nodes

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        """A table for notebooks: the slowest nodes first, where the run was profiled."""
        total = sum(node.nanoseconds for node in self.nodes)
        shown = [node for node in self.nodes if total or node.precision is not None]
        shown.sort(key=lambda node: -node.nanoseconds)
        header = ["node", "operator", "precision", "kernel", "reason"]
        rows: list[list[Any]] = [
            [node.node, node.operator, node.precision, node.kernel, node.reason] for node in shown
        ]
        if total:
            header += ["ms", "share"]
            for row, node in zip(rows, shown, strict=True):
                row += [f"{node.nanoseconds / 1e6:.3f}", f"{node.nanoseconds / total:.1%}"]
        lines = "<br>".join(map(html.escape, self.text.strip().splitlines()[:1]))
        return f"<div><p>{lines}</p>{table(header, rows)}</div>"


def table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """An HTML table; None is an empty cell."""

    def line(cells: Sequence[Any], tag: str) -> str:
        texts = ("" if cell is None else html.escape(str(cell)) for cell in cells)
        return "<tr>" + "".join(f"<{tag}>{text}</{tag}>" for text in texts) + "</tr>"

    body = "".join(line(row, "td") for row in rows)
    return f"<table><thead>{line(header, 'th')}</thead><tbody>{body}</tbody></table>"
