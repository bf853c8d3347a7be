"""A stand-in for the few names of PyFlink that function files import, for where PyFlink is not installed.

A file that says ``from pyflink.table.udf import udf`` then runs here and on a Flink cluster unchanged. The stand-in is
found last, so a real PyFlink is never hidden; what it does not have raises ImportError as any module does.
"""

from __future__ import annotations

import sys
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType


def _names() -> dict[str, dict[str, Any]]:
    from deras.sql.functions.pyflink import functions, row, types, views

    functions_ = {n: getattr(functions, n) for n in functions.__all__}
    views_ = {n: getattr(views, n) for n in views.__all__}
    types_ = {n: getattr(types, n) for n in types.__all__}
    return {
        "pyflink": {},
        "pyflink.common": {"Row": row.Row, "RowKind": row.RowKind},
        "pyflink.common.types": {"Row": row.Row, "RowKind": row.RowKind},
        "pyflink.table": {**functions_, **types_, **views_, "Row": row.Row, "RowKind": row.RowKind},
        "pyflink.table.udf": functions_,
        "pyflink.table.data_view": views_,
        "pyflink.table.types": {**types_, "Row": row.Row},
    }


_PACKAGES = frozenset({"pyflink", "pyflink.common", "pyflink.table"})
_MODULES = _PACKAGES | {"pyflink.common.types", "pyflink.table.data_view", "pyflink.table.udf", "pyflink.table.types"}


class _StandIn(MetaPathFinder, Loader):
    """Finds and makes the modules."""

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> Any:
        if fullname not in _MODULES:
            return None
        parent = sys.modules.get("pyflink")
        if parent is not None and not getattr(parent, "deras_stand_in", False):
            return None
        return ModuleSpec(fullname, self, is_package=fullname in _PACKAGES)

    def exec_module(self, module: ModuleType) -> None:
        module.__doc__ = "Deras' stand-in for the part of PyFlink that functions need."
        module.__dict__["deras_stand_in"] = True
        module.__dict__.update(_names()[module.__name__])


_FOUND = _StandIn()


def stand_in() -> None:
    """Answer for PyFlink where it is absent. Calling it again does nothing."""
    if _FOUND not in sys.meta_path:
        sys.meta_path.append(_FOUND)
