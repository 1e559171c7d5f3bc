# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Checks the structure of a Python package by its syntax trees: layers, circles, sizes, `__init__` files.

Each check takes the folder of a package and returns its violations, one sentence each. All imports count: at the top
of a module, within a function, and under TYPE_CHECKING.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROS_PACKAGE = re.compile(r"rclpy|\w+_(msgs|srvs|interfaces)")
GENERATED = ("msg", "srv")  # the package's own messages, which the build adds


@dataclass(frozen=True)
class Import:
    """One imported name. target: the module that is imported from; name: None for `import target`."""

    line: int
    target: str
    name: str | None


@dataclass(frozen=True)
class Module:
    """A module of the package. name: dotted, from the package on; an `__init__` has the name of its folder."""

    name: str
    path: Path

    @cached_property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @property
    def is_init(self) -> bool:
        return self.path.name == "__init__.py"

    @property
    def component(self) -> str:
        """The first folder or module below the package; the package's own name for its `__init__`."""
        return self.name.split(".")[min(1, self.name.count("."))]

    @cached_property
    def imports(self) -> list[Import]:
        return list(self._imports())

    def _imports(self) -> Iterator[Import]:
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from (Import(node.lineno, alias.name, None) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                target = self._absolute(node.module, node.level)
                yield from (Import(node.lineno, target, alias.name) for alias in node.names)

    def _absolute(self, module: str | None, level: int) -> str:
        """Resolve `from ..module import`: `level` is the number of dots."""
        if not level:
            return module or ""
        parts = self.name.split(".")
        kept = parts[: len(parts) - level + self.is_init]
        return ".".join([*kept, module] if module else kept)


def modules_of(package: Path) -> dict[str, Module]:
    """Return all modules of the package by their names, sorted."""
    modules = {}
    for path in sorted(package.rglob("*.py")):
        parts = list(path.relative_to(package.parent).with_suffix("").parts)
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        modules[name] = Module(name, path)
    return modules


def imported_modules(module: Module, modules: dict[str, Module]) -> dict[str, int]:
    """Return the modules of the package that a module imports, with the line of the first import."""
    lines: dict[str, int] = {}
    for each in module.imports:
        submodule = f"{each.target}.{each.name}"
        target = submodule if submodule in modules else each.target
        if target in modules and target != module.name:
            lines.setdefault(target, each.line)
    return lines


def ros_imports_outside(package: Path, component: str) -> list[str]:
    """Only `component` may import rclpy, message packages and the package's generated messages."""
    return [
        f"{module.name}:{each.line} imports {each.target}: only {component}/ may import ROS"
        for module in modules_of(package).values()
        if module.component != component
        for each in module.imports
        if _is_ros(each, package.name)
    ]


def _is_ros(each: Import, package: str) -> bool:
    top, _, rest = each.target.partition(".")
    if top == package:
        return (rest or each.name or "").split(".")[0] in GENERATED
    return ROS_PACKAGE.fullmatch(top) is not None


def upward_imports(package: Path, layers: Sequence[Sequence[str]]) -> list[str]:
    """A component imports itself and components of lower layers. layers: names, the lowest layer first."""
    height = {
        component: number for number, components in enumerate(layers) for component in components
    }
    modules = modules_of(package)
    violations = []
    for module in modules.values():
        if module.component not in height:
            violations.append(f"{module.name}: {module.component} has no layer: add it to the list")
            continue
        for target, line in imported_modules(module, modules).items():
            component = modules[target].component
            if (
                component != module.component
                and height.get(component, -1) >= height[module.component]
            ):
                violations.append(f"{module.name}:{line} imports {target}, which is not below it")
    return violations


def circles(package: Path) -> list[str]:
    """No module imports itself by way of others."""
    modules = modules_of(package)
    graph = {name: list(imported_modules(module, modules)) for name, module in modules.items()}
    done: set[str] = set()
    violations: list[str] = []

    def visit(name: str, path: tuple[str, ...]) -> None:
        if name in path:
            violations.append(" imports ".join([*path[path.index(name) :], name]))
        elif name not in done:
            for target in graph[name]:
                visit(target, (*path, name))
            done.add(name)

    for name in graph:
        visit(name, ())
    return violations


def long_files(package: Path, most_lines: int) -> list[str]:
    return [
        f"{module.name} has {lines} lines, more than {most_lines}: split it by concern"
        for module in modules_of(package).values()
        if (lines := _lines_below_notice(module.text)) > most_lines
    ]


def _lines_below_notice(text: str) -> int:
    """Return the number of lines, without a copyright notice at the top."""
    lines = text.splitlines()
    if lines and lines[0].startswith("# Copyright "):
        lines = lines[
            next((n for n, line in enumerate(lines) if not line.startswith("#")), 0) + 1 :
        ]
    return len(lines)


def code_in_inits(package: Path) -> list[str]:
    """An `__init__` has a docstring, imports, `__all__` and `__version__` only."""
    return [
        f"{module.name}.__init__:{statement.lineno} has code: move it to a module of its own"
        for module in modules_of(package).values()
        if module.is_init
        for statement in module.tree.body
        if not _belongs_into_an_init(statement)
    ]


def _belongs_into_an_init(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.Import | ast.ImportFrom):
        return True
    if isinstance(statement, ast.Expr):
        return isinstance(statement.value, ast.Constant) and isinstance(statement.value.value, str)
    targets = statement.targets if isinstance(statement, ast.Assign) else []
    names = [target.id for target in targets if isinstance(target, ast.Name)]
    return names in (["__all__"], ["__version__"])


def imports_through_inits(package: Path) -> list[str]:
    """Within the package, a name is imported from the module that defines it, not from an `__init__`."""
    modules = modules_of(package)
    violations = []
    for module in modules.values():
        for each in module.imports:
            source = modules.get(each.target)
            if source is None or not source.is_init or source is module:
                continue
            if f"{each.target}.{each.name}" not in modules and each.name in _re_exported(source):
                violations.append(
                    f"{module.name}:{each.line} imports {each.name} from {each.target}: "
                    "import it from the module that defines it"
                )
    return violations


def _re_exported(init: Module) -> set[str | None]:
    return {each.name for each in init.imports}
