"""Deras: Flink SQL, embedded. A real-time data platform in one Python package.

>>> import deras
>>> s = deras.connect()
>>> s.sql("SELECT 1 + 1 AS two").pl()  # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["DerasError", "__version__", "connect", "process_function", "udaf", "udf", "udtf"]

if TYPE_CHECKING:
    from deras.core.errors import DerasError
    from deras.session import connect
    from deras.session.udf import process_function, udaf, udf, udtf


def __getattr__(name: str) -> Any:
    # Loaded when first used, so that `import deras` costs nothing.
    if name == "connect":
        from deras.session import connect

        return connect
    if name in ("process_function", "udaf", "udf", "udtf"):
        from deras.session import udf

        return getattr(udf, name)
    if name == "DerasError":
        from deras.core.errors import DerasError

        return DerasError
    raise AttributeError(f"module 'deras' has no attribute {name!r}")
