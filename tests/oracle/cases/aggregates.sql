# Group aggregates: types of results, changes row by row.

ddl
CREATE TABLE t (
  k STRING, ti TINYINT, si SMALLINT, i INT, l BIGINT, f FLOAT, x DOUBLE, d DECIMAL(10, 2), w DECIMAL(38, 10),
  s STRING, v VARCHAR(5), b BOOLEAN, dt DATE, ts TIMESTAMP(3)
)

input t
a, 1, 1, 1, 1, 0.5, 0.5, 1.10, 1.5, x, xx, true, 2024-01-01, 2024-01-01 00:00:00
b, 2, 2, 2, 2, 1.5, 1.5, 2.20, 2.5, y, yy, false, 2024-01-02, 2024-01-02 00:00:00
a, 3, 3, 4, 3, 2.5, 2.5, 3.30, 3.5, w, ww, false, 2023-01-03, 2023-01-03 00:00:00
NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
a, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
b, 2, 2, 2, 2, 1.5, 1.5, 2.20, 2.5, y, yy, false, 2024-01-02, 2024-01-02 00:00:00
NULL, 100, 30000, 2147483647, 9223372036854775807, 1.5, 1E300, 99999999.99, 9999999999999999999999999999.9, z, zz, true, 2030-01-01, 2030-01-01 00:00:00
NULL, 100, 30000, 2147483647, 9223372036854775807, 1.5, 1E300, 99999999.99, 9999999999999999999999999999.9, z, zz, true, 2030-01-01, 2030-01-01 00:00:00

query counts
SELECT k, COUNT(*) AS n, COUNT(i) AS c, COUNT(DISTINCT i) AS d FROM t GROUP BY k

query sums
SELECT k, SUM(ti) AS a, SUM(si) AS b, SUM(i) AS c, SUM(l) AS d, SUM(f) AS e, SUM(x) AS g, SUM(d) AS h, SUM(w) AS j FROM t GROUP BY k

query averages
SELECT k, AVG(ti) AS a, AVG(si) AS b, AVG(i) AS c, AVG(l) AS d, AVG(f) AS e, AVG(x) AS g, AVG(d) AS h FROM t WHERE k IS NOT NULL GROUP BY k

query average of a wide decimal
SELECT k, AVG(w) AS a FROM t WHERE k IS NOT NULL GROUP BY k

query least and greatest
SELECT k, MIN(ti) AS a, MAX(si) AS b, MIN(i) AS c, MAX(l) AS d, MIN(f) AS e, MAX(x) AS g, MIN(d) AS h, MAX(w) AS j, MIN(s) AS m, MAX(v) AS n, MAX(b) AS o, MIN(dt) AS p, MAX(ts) AS q FROM t GROUP BY k

query spreads of integers
SELECT k, STDDEV_POP(i) AS a, STDDEV_SAMP(i) AS b, VAR_POP(l) AS c, VAR_SAMP(l) AS d, STDDEV(i) AS e, VARIANCE(i) AS g FROM t WHERE k IS NOT NULL GROUP BY k

query spreads of floats
SELECT k, STDDEV_POP(x) AS a, STDDEV_SAMP(x) AS b, VAR_POP(x) AS c, VAR_SAMP(f) AS d FROM t WHERE k IS NOT NULL GROUP BY k

query spreads of decimals
SELECT k, STDDEV_POP(d) AS a, VAR_SAMP(d) AS d FROM t WHERE k IS NOT NULL GROUP BY k

query without keys
SELECT COUNT(*) AS n, SUM(i) AS s, MIN(s) AS m, AVG(x) AS a FROM t WHERE k IS NOT NULL

query without rows
SELECT COUNT(*) AS n, SUM(i) AS s FROM t WHERE k = 'none'

query with filters
SELECT k, COUNT(*) FILTER (WHERE i > 1) AS a, SUM(i) FILTER (WHERE b) AS c, COUNT(DISTINCT s) FILTER (WHERE i > 1) AS d, MAX(i) FILTER (WHERE i < 0) AS e FROM t GROUP BY k

query distinct aggregates
SELECT k, SUM(DISTINCT i) AS a, AVG(DISTINCT x) AS b, COUNT(DISTINCT s) AS c, MIN(DISTINCT i) AS d, COUNT(DISTINCT d) AS e FROM t GROUP BY k

query count of several columns
SELECT k, COUNT(i, s) AS a FROM t GROUP BY k

query distinct count of several columns
SELECT k, COUNT(DISTINCT i, s) AS a FROM t GROUP BY k

query distinct rows
SELECT DISTINCT k, i FROM t

query groups without aggregates
SELECT k FROM t GROUP BY k

query groups by several keys
SELECT k, b, COUNT(*) AS n FROM t GROUP BY k, b

query groups by an expression
SELECT i + 1 AS j, COUNT(*) AS n FROM t GROUP BY i + 1

query groups by position
SELECT k, COUNT(*) FROM t GROUP BY 1

query groups by alias
SELECT UPPER(k) AS u, COUNT(*) FROM t GROUP BY u

query having
# differs: kinds
SELECT k, COUNT(*) AS n FROM t GROUP BY k HAVING COUNT(*) > 1

query having over what falls again
# differs: kinds
SELECT k, MIN(i) AS m FROM t GROUP BY k HAVING MIN(i) > 1

query a filter over updates
# differs: kinds
SELECT k, n FROM (SELECT k, COUNT(*) AS n FROM t GROUP BY k) WHERE n = 2

query aggregate of an aggregate
SELECT n, COUNT(*) AS c FROM (SELECT k, COUNT(*) AS n FROM t GROUP BY k) GROUP BY n

query sum of an aggregate
# differs: folded
SELECT SUM(n) AS s, MAX(n) AS m, MIN(n) AS l FROM (SELECT k, COUNT(*) AS n FROM t GROUP BY k)

query greatest over what falls
SELECT MAX(m) AS mm FROM (SELECT k, MIN(i) AS m FROM t WHERE k IS NOT NULL GROUP BY k)

query average of averages
# differs: kinds
SELECT b, AVG(a) AS aa FROM (SELECT k, MAX(b) AS b, AVG(x) AS a FROM t WHERE k IS NOT NULL GROUP BY k) GROUP BY b

query first and last
SELECT k, FIRST_VALUE(s) AS a, LAST_VALUE(s) AS b, FIRST_VALUE(i) AS c, LAST_VALUE(i) AS d FROM t GROUP BY k

query lists
SELECT k, LISTAGG(s) AS a, LISTAGG(s, '-') AS b FROM t GROUP BY k

query distinct list
SELECT k, LISTAGG(DISTINCT s) AS a FROM t GROUP BY k

query collected
SELECT k, COLLECT(i) AS c FROM t GROUP BY k

query arrays
SELECT k, ARRAY_AGG(i) AS c FROM t GROUP BY k

query aggregates in expressions
SELECT k, SUM(i) / COUNT(*) AS q, SUM(d) / COUNT(*) AS r, MAX(i) - MIN(i) AS span, COALESCE(SUM(i), 0) AS z FROM t WHERE k IS NOT NULL GROUP BY k

query the same aggregate twice
SELECT COUNT(*) AS a, COUNT(*) AS b FROM t

query count of a constant
SELECT COUNT(1) AS a, SUM(1) AS b FROM t

query count of NULL
# differs: NULL without a type
SELECT COUNT(NULL) AS c FROM t

query an aggregate of an expression
SELECT k, SUM(CASE WHEN i > 1 THEN 1 ELSE 0 END) AS a, SUM(i * 2) AS b, COUNT(NULLIF(i, 2)) AS c FROM t WHERE k IS NOT NULL GROUP BY k

query a boolean key
SELECT b, COUNT(*) AS n FROM t GROUP BY b

query a date key and a time key
SELECT dt, ts, COUNT(*) AS n FROM t GROUP BY dt, ts

query a float key
SELECT x, COUNT(*) AS n FROM t GROUP BY x

query a decimal key
SELECT d, w, COUNT(*) AS n FROM t GROUP BY d, w

query union all of updates
# differs: folded
SELECT k, COUNT(*) AS n FROM t GROUP BY k UNION ALL SELECT s, COUNT(*) FROM t GROUP BY s

query aggregate of a union
# differs: folded
SELECT a, COUNT(*) AS n FROM (SELECT k AS a FROM t UNION ALL SELECT s FROM t) GROUP BY a

query bool aggregates
SELECT k, BOOL_AND(b) FROM t GROUP BY k
