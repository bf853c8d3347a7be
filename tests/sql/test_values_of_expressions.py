"""Flink's rules for numbers, text, NULL and time, each as one row: expression -> value, type."""

from __future__ import annotations

import pytest
from test_function_examples import value_text

from deras.core.errors import DerasError
from deras.sql.bind.context import BindContext
from deras.sql.bind.expressions import ExprBinder
from deras.sql.bind.scope import Scope
from deras.sql.catalog import Catalog
from deras.sql.settings import Settings
from deras.sql.syntax.parser import parse_expression

# Facts seen on Flink 2.3.
CASES = """
7 / 2                                  | 3            | INT
-7 / 2                                 | -3           | INT
MOD(-7, 3)                             | -1           | INT
-7 % 3                                 | -1           | INT
7 % -3                                 | 1            | INT
2147483647 + 1                         | -2147483648  | INT
CAST(9223372036854775807 AS BIGINT) + 1 | -9223372036854775808 | BIGINT
CAST(300 AS TINYINT)                   | 44           | TINYINT
CAST(1.55 AS DECIMAL(2, 1))            | 1.6          | DECIMAL(2, 1)
CAST(1.25 AS DECIMAL(2, 1))            | 1.3          | DECIMAL(2, 1)
CAST(-1.5 AS INT)                      | -1           | INT
1.25 * 1.25                            | 1.5625       | DECIMAL(7, 4)
CAST('99999999999999999999999999999999999999' AS DECIMAL(38, 0)) + 1 | NULL | DECIMAL(38, 0)
CAST(1E0 / 3E0 AS DECIMAL(10, 5))      | 0.33333      | DECIMAL(10, 5)
10.0 / 4                               | 2.500000000000 | DECIMAL(14, 12)
0.1 + 0.2                              | 0.3          | DECIMAL(3, 1)
CAST('1.5' AS INT)                     | 1            | INT
CAST(' 12 ' AS INT)                    | 12           | INT
TRY_CAST('x' AS INT)                   | NULL         | INT
TRY_CAST('1.005' AS DECIMAL(3, 2))     | 1.01         | DECIMAL(3, 2)
CAST(TRUE AS STRING)                   | TRUE         | STRING
CAST(1E10 AS STRING)                   | 1.0E10       | STRING
CAST(1E-5 AS STRING)                   | 1.0E-5       | STRING
CAST(123.456E0 AS STRING)              | 123.456      | STRING
CAST('a' AS CHAR(3)) || '.'            | a  .         | CHAR(4)
CAST('abcd' AS VARCHAR(2))             | ab           | VARCHAR(2)
'a' || CAST(NULL AS STRING)            | NULL         | STRING
'a' = 'a '                             | FALSE        | BOOLEAN
GREATEST(1, CAST(NULL AS INT))         | NULL         | INT
SUBSTRING('abc', 0, 2)                 | ab           | VARCHAR(3)
SPLIT_INDEX('a,b', ',', 5)             | NULL         | STRING
SPLIT_INDEX('a,b', ',', 0)             | a            | STRING
REGEXP_EXTRACT('abc', 'x(y)', 1)       | NULL         | STRING
CAST(NULL AS BOOLEAN) AND FALSE        | FALSE        | BOOLEAN
CAST(NULL AS BOOLEAN) OR TRUE          | TRUE         | BOOLEAN
CAST(NULL AS BOOLEAN) AND TRUE         | NULL         | BOOLEAN
NOT CAST(NULL AS BOOLEAN)              | NULL         | BOOLEAN
1 IN (2, CAST(NULL AS INT))            | NULL         | BOOLEAN
1 NOT IN (2, CAST(NULL AS INT))        | NULL         | BOOLEAN
1 IN (1, CAST(NULL AS INT))            | TRUE         | BOOLEAN
CAST(NULL AS INT) IS NOT DISTINCT FROM CAST(NULL AS INT) | TRUE | BOOLEAN
5 BETWEEN 1 AND 5                      | TRUE         | BOOLEAN
5 NOT BETWEEN SYMMETRIC 9 AND 1        | FALSE        | BOOLEAN
'abc' LIKE 'a_c'                       | TRUE         | BOOLEAN
'a%c' LIKE 'a\\%c' ESCAPE '\\'         | TRUE         | BOOLEAN
'abc' SIMILAR TO '(a|x)b.'             | TRUE         | BOOLEAN
'abc' SIMILAR TO '(a|x)b_'             | TRUE         | BOOLEAN
CASE WHEN 1 > 2 THEN 1 / 0 ELSE 5 END  | 5            | INT
CASE 2 WHEN 1 THEN 'a' WHEN 2 THEN 'bcd' END | bcd     | VARCHAR(3)
COALESCE(CAST(NULL AS INT), 2.5)       | 2.5          | DECIMAL(11, 1)
FALSE AND 1 / 0 > 0                    | FALSE        | BOOLEAN
TIMESTAMPDIFF(DAY, TIMESTAMP '2024-01-01 23:00:00', TIMESTAMP '2024-01-02 22:00:00') | 0 | INT
DAYOFWEEK(DATE '2024-02-04')           | 1            | BIGINT
EXTRACT(DOW FROM DATE '2024-02-04')    | 1            | BIGINT
DATE '2024-01-31' + INTERVAL '1' MONTH | 2024-02-29   | DATE
DATE '2023-01-31' + INTERVAL '1' MONTH | 2023-02-28   | DATE
TIMESTAMP '2024-01-01 00:00:00.5' - INTERVAL '1' SECOND | 2023-12-31 23:59:59.5 | TIMESTAMP(1)
TIMESTAMP '2024-01-01 00:00:00' + INTERVAL '1 02:03:04' DAY TO SECOND | 2024-01-02 02:03:04 | TIMESTAMP(0)
CAST('2024-02-30' AS TIMESTAMP(0))     | 2024-02-29 00:00:00 | TIMESTAMP(0)
TRY_CAST('2024-02-30' AS DATE)         | NULL         | DATE
TRY_CAST('2024-02-03T04:05:06' AS TIMESTAMP(0)) | NULL | TIMESTAMP(0)
FLOOR(DATE '2024-02-07' TO WEEK)       | 2024-02-04   | DATE
FLOOR(TIMESTAMP '2024-02-07 04:05:06' TO MONTH) | 2024-02-01 00:00:00 | TIMESTAMP(0)
CEIL(TIMESTAMP '2024-02-07 04:05:06' TO HOUR) | 2024-02-07 05:00:00 | TIMESTAMP(0)
ROUND(-2.5)                            | -3           | DECIMAL(2, 0)
ARRAY[1, 2][2]                         | 2            | INT
ARRAY[1, 2][3]                         | NULL         | INT
"""
ROWS = [[cell.strip() for cell in line.replace("\\\\", "\\").rsplit("|", 2)] for line in CASES.strip().splitlines()]


@pytest.mark.parametrize(("expr", "value", "type_"), ROWS, ids=lambda v: v[:40])
def test_value(expr: str, value: str, type_: str) -> None:
    context = BindContext(Catalog(), Settings({"table.local-time-zone": "UTC"}), expr)
    bound = ExprBinder(context, Scope()).bind(parse_expression(expr))
    assert str(bound.type.with_nullable(True)) == type_
    assert value_text(expr).strip() == value


@pytest.mark.parametrize(
    ("expr", "value"),
    [
        ("FROM_UNIXTIME(0)", "1970-01-01 07:00:00"),
        ("UNIX_TIMESTAMP('1970-01-01 00:00:00')", "-25200"),
        ("CAST(TO_TIMESTAMP_LTZ(0, 3) AS TIMESTAMP(0))", "1970-01-01 07:00:00"),
        ("DATE_FORMAT(TO_TIMESTAMP_LTZ(0, 3), 'HH:mm')", "07:00"),
        ("FLOOR(TO_TIMESTAMP_LTZ(0, 3) TO DAY)", "1970-01-01 00:00:00.000"),
        ("HOUR(TO_TIMESTAMP_LTZ(0, 3))", "7"),
    ],
)
def test_session_zone(expr: str, value: str) -> None:
    assert value_text(expr, "Asia/Jakarta") == value


@pytest.mark.parametrize(
    ("expr", "message"),
    [
        ("1 / 0", "division by zero in `1 / 0` (line 1, column 1)"),
        ("CAST('x' AS INT)", "the text is no INT in `CAST('x' AS INT)` (line 1, column 1)"),
        ("CAST('2024-13-01' AS DATE)", "the value is no DATE in `CAST('2024-13-01' AS DATE)` (line 1, column 1)"),
        ("TRUE AND 5 / 0 > 1", "division by zero in `5 / 0` (line 1, column 10)"),
    ],
)
def test_failure(expr: str, message: str) -> None:
    with pytest.raises(ValueError, match=r"\(line") as e:
        value_text(expr)
    assert str(e.value) == message


@pytest.mark.parametrize(
    ("expr", "message"),
    [
        ("'a' + 1", "'+' is not defined for CHAR(1) and INT"),
        ("1 = 'a'", "'=' cannot compare INT with CHAR(1)"),
        ("UPER('a')", "there is no function 'UPER'"),
        ("UPPER(1)", "UPPER does not take (INT NOT NULL)"),
        ("CASE WHEN TRUE THEN 1 ELSE 'a' END", "the results of CASE have no common type: INT and CHAR(1)"),
        ("CAST(1 AS TIMESTAMP(3))", "cannot cast INT to TIMESTAMP(3)"),
        ("SUM(1)", "aggregate function SUM cannot stand here"),
        ("ROW_NUMBER() OVER (ORDER BY 1)", "window function ROW_NUMBER cannot stand in this place"),
        ("x", "there is no column 'x' here"),
    ],
)
def test_refused(expr: str, message: str) -> None:
    with pytest.raises(DerasError) as e:
        value_text(expr)
    assert e.value.message == message
    assert e.value.span is not None  # type: ignore[attr-defined]
