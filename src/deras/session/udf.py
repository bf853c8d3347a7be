"""``@deras.udf``: Python functions for SQL."""

from __future__ import annotations

from deras.sql.functions.udf import UserFunction, udf

__all__ = ["UserFunction", "udf"]
