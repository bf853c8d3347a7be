"""``@deras.udf``, ``@deras.udtf``, ``@deras.udaf``: Python functions for SQL."""

from __future__ import annotations

from deras.sql.functions.process import UserProcess, process_function
from deras.sql.functions.udaf import UserAggregate, udaf
from deras.sql.functions.udf import UserFunction, udf
from deras.sql.functions.udtf import UserTableFunction, udtf

__all__ = [
    "UserAggregate",
    "UserFunction",
    "UserProcess",
    "UserTableFunction",
    "process_function",
    "udaf",
    "udf",
    "udtf",
]
