"""``@deras.udf``, ``@deras.udtf``: Python functions for SQL."""

from __future__ import annotations

from deras.sql.functions.udf import UserFunction, udf
from deras.sql.functions.udtf import UserTableFunction, udtf

__all__ = ["UserFunction", "UserTableFunction", "udf", "udtf"]
