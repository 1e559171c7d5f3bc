# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Finds code that may write text from outside without a limit or with control characters, by its syntax tree.

- `repr` in any form (`!r`, `!a`, `%r`, `repr()`, `ascii()`): it has no limit. `quoted` has one.
- The traceback module: its lines hold the text of exceptions, which can forge further lines. `traced` cannot.
- The exception of another library in an f-string, or in str(): its text may hold what came from outside, of any length.
  `described`, `shown` and `quoted` clean it, and the exceptions of this package clean themselves.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator

_REPR = ("repr", "ascii")


def raw_texts(tree: ast.AST, clean_errors: Collection[str]) -> list[str]:
    """List the violations in a module, one sentence each.

    clean_errors: names of exceptions whose text is one bounded printable line.
    """
    return [*_reprs(tree), *_tracebacks(tree), *_raw_errors(tree, clean_errors)]


def _reprs(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FormattedValue) and chr(max(node.conversion, 0)) in "ra":
            yield f"line {node.lineno}: a conversion by repr has no limit"
        elif isinstance(node, ast.Name) and node.id in _REPR:
            yield f"line {node.lineno}: repr has no limit"
        elif isinstance(node, ast.BinOp) and _is_percent_r(node):
            yield f"line {node.lineno}: %r has no limit"


def _is_percent_r(node: ast.BinOp) -> bool:
    text = node.left.value if isinstance(node.left, ast.Constant) else ""
    return isinstance(node.op, ast.Mod) and "%r" in str(text)


def _tracebacks(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        imported = isinstance(node, ast.Import) and "traceback" in [a.name for a in node.names]
        if imported or (isinstance(node, ast.ImportFrom) and node.module == "traceback"):
            yield f"line {node.lineno}: a traceback shows texts of exceptions raw"


def _raw_errors(tree: ast.AST, clean_errors: Collection[str]) -> Iterator[str]:
    for handler in ast.walk(tree):
        if not isinstance(handler, ast.ExceptHandler) or handler.name is None:
            continue
        if {_name(kind) for kind in _kinds(handler.type)} <= set(clean_errors):
            continue
        for statement in handler.body:
            yield from _shown_raw(statement, handler.name)


def _shown_raw(tree: ast.AST, error: str) -> Iterator[str]:
    for node in ast.walk(tree):
        value: ast.AST | None = None
        if isinstance(node, ast.FormattedValue):
            value = node.value
        elif isinstance(node, ast.Call) and _name(node.func) in ("str", "print"):
            value = node.args[0] if node.args else None
        if isinstance(value, ast.Name) and value.id == error:
            yield f"line {value.lineno}: the text of {error} is shown raw"


def _kinds(caught: ast.expr | None) -> list[ast.AST]:
    if isinstance(caught, ast.Tuple):
        return [kind for entry in caught.elts for kind in _kinds(entry)]
    if isinstance(caught, ast.BinOp):
        return [*_kinds(caught.left), *_kinds(caught.right)]
    return [caught] if caught is not None else []


def _name(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""
