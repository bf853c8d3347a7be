"""Arguments of users' Python functions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deras.core import types as t
from deras.core.errors import BindError
from deras.core.types import Kind
from deras.sql.functions.registry import cast_to
from deras.sql.functions.udf import misfit
from deras.sql.types import implicit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deras.core.types import SqlType
    from deras.sql.expr import nodes as e
    from deras.sql.syntax import ast


def takes(name: str, target: Any, given: int, x: ast.Call) -> None:
    """Check how many arguments a Python function gets.

    Raises:
        BindError: too many or few.
    """
    wrong = misfit(target, given)
    if wrong:
        raise BindError(f"function '{name}' does not take these arguments: {wrong}", span=x.span)


def cast_arguments(
    name: str, wanted: Sequence[SqlType] | None, args: list[e.Expr], x: ast.Call, optional: int = 0
) -> list[e.Expr]:
    """Arguments of a Python function in its declared types; the last ``optional`` ones need not be there.

    Raises:
        BindError: too many or few, or of another type.
    """
    if wanted is not None:
        if not len(wanted) - optional <= len(args) <= len(wanted):
            many = f"{len(wanted) - optional} to {len(wanted)}" if optional else str(len(wanted))
            raise BindError(f"function '{name}' takes {many} arguments, not {len(args)}", span=x.span)
        wanted = wanted[: len(args)]
        for a, type_, node in zip(args, wanted, x.args, strict=True):
            if not implicit(a.type, type_):
                raise BindError(
                    f"function '{name}' takes {type_} here, not {a.type.with_nullable(True)}",
                    span=node.span,
                    hint=f"Convert with CAST(… AS {type_}).",
                )
        args = [cast_to(a, type_) for a, type_ in zip(args, wanted, strict=True)]
    return [cast_to(a, t.STRING) if a.type.kind is Kind.NULL else a for a in args]
