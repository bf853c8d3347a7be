# Aggregates of all values: lists, sets, JSON, percentiles, first and last of changing rows.

ddl
CREATE TABLE t (k STRING, s STRING, i INT, x DOUBLE, d DECIMAL(10, 2), b BOOLEAN, ts TIMESTAMP(3), WATERMARK FOR ts AS ts)

input t
a, x, 1, 0.5, 1.10, true, 2024-01-01 00:00:00
b, y, 2, 1.5, 2.20, false, 2024-01-01 00:00:01
a, w, 4, 2.5, 3.30, false, 2024-01-01 00:00:02
a, NULL, NULL, NULL, NULL, NULL, 2024-01-01 00:00:03
c, NULL, NULL, NULL, NULL, NULL, 2024-01-01 00:00:04
b, y, 2, 1.5, 2.20, false, 2024-01-01 00:00:05
a, x, 1, 4.5, 1.10, true, 2024-01-01 00:00:06
b, z, 3, 9.5, 5.20, false, 2024-01-01 00:00:12

query listagg
SELECT k, LISTAGG(s) AS a, LISTAGG(s, '; ') AS b FROM t GROUP BY k

query listagg of distinct values
SELECT k, LISTAGG(DISTINCT s) AS a FROM t GROUP BY k

query listagg of distinct values with a separator
SELECT k, LISTAGG(DISTINCT s, '-') AS a FROM t GROUP BY k

query listagg with a filter
SELECT k, LISTAGG(s) FILTER (WHERE i > 1) AS a FROM t GROUP BY k

query listagg of a number
SELECT k, LISTAGG(i) AS a FROM t GROUP BY k

query listagg with a separator that is a column
SELECT k, LISTAGG(s, k) AS a FROM t GROUP BY k

query listagg without keys
SELECT LISTAGG(s) AS a FROM t

query array_agg
SELECT k, ARRAY_AGG(i) AS a FROM t GROUP BY k

query array_agg of decimals and texts
SELECT k, ARRAY_AGG(d) AS a, ARRAY_AGG(s) AS b FROM t GROUP BY k

query array_agg of distinct values
SELECT k, ARRAY_AGG(DISTINCT i) AS a FROM t WHERE i IS NOT NULL GROUP BY k

query array_agg without nulls
SELECT k, ARRAY_AGG(i IGNORE NULLS) AS a FROM t GROUP BY k

query array_agg with a filter
SELECT k, ARRAY_AGG(i) FILTER (WHERE b) AS a FROM t GROUP BY k

query collect
# differs: defect of Flink
SELECT k, CARDINALITY(COLLECT(i)) AS a FROM t GROUP BY k

query collect of one value
SELECT k, COLLECT(s) AS a FROM t WHERE k = 'b' AND s = 'y' GROUP BY k

query json arrays
SELECT k, JSON_ARRAYAGG(i) AS a, JSON_ARRAYAGG(s NULL ON NULL) AS b, JSON_ARRAYAGG(d) AS c FROM t GROUP BY k

query json objects
# differs: duplicate keys
SELECT k, JSON_OBJECTAGG(KEY s VALUE i) AS a FROM t WHERE s IS NOT NULL GROUP BY k

query json objects without nulls
# differs: duplicate keys
SELECT JSON_OBJECTAGG(KEY k VALUE i ABSENT ON NULL) AS a FROM t

query percentiles
# differs: folded
SELECT k, PERCENTILE(i, 0.5) AS a, PERCENTILE(x, 0.25) AS b, PERCENTILE(d, 1.0) AS c FROM t GROUP BY k

query several percentiles
# differs: folded
SELECT k, PERCENTILE(x, ARRAY[0.0, 0.5, 0.9]) AS a FROM t GROUP BY k

query percentiles by frequency
# differs: folded
SELECT k, PERCENTILE(x, 0.5, i) AS a FROM t GROUP BY k

query lists of changing rows
SELECT n, LISTAGG(k) AS a FROM (SELECT k, COUNT(*) AS n FROM t GROUP BY k) GROUP BY n

query arrays of changing rows
# differs: folded
SELECT ARRAY_AGG(n) AS a FROM (SELECT k, COUNT(*) AS n FROM t GROUP BY k)

query equal values of changing rows
# differs: folded
SELECT LISTAGG(v) AS a FROM (SELECT k, MAX(s) AS v FROM t GROUP BY k)

query first and last of changing rows
# differs: folded
SELECT FIRST_VALUE(n) AS a, LAST_VALUE(n) AS b, FIRST_VALUE(v) AS c, LAST_VALUE(v) AS d FROM (SELECT k, COUNT(*) AS n, MAX(s) AS v FROM t GROUP BY k)

query first and last of changing rows by key
SELECT n, FIRST_VALUE(k) AS a, LAST_VALUE(k) AS b FROM (SELECT k, COUNT(*) AS n FROM t GROUP BY k) GROUP BY n

query windows
SELECT window_start, k, LISTAGG(s) AS a, ARRAY_AGG(i) AS b, JSON_ARRAYAGG(i) AS c FROM TABLE(TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '5' SECOND)) GROUP BY window_start, window_end, k

query hopping windows
# differs: order of lists
SELECT window_start, k, LISTAGG(s) AS a FROM TABLE(HOP(TABLE t, DESCRIPTOR(ts), INTERVAL '5' SECOND, INTERVAL '10' SECOND)) GROUP BY window_start, window_end, k

query sessions
SELECT window_start, k, LISTAGG(s) AS a, ARRAY_AGG(i) AS b FROM TABLE(SESSION(TABLE t PARTITION BY k, DESCRIPTOR(ts), INTERVAL '3' SECOND)) GROUP BY window_start, window_end, k

query sum0
# differs: ours
SELECT k, SUM0(i) AS a FROM t GROUP BY k

query lists in having
# differs: kinds
SELECT k, LISTAGG(s) AS a FROM t GROUP BY k HAVING LISTAGG(s) <> 'x'

query json objects of single keys
SELECT k, JSON_OBJECTAGG(KEY s VALUE i) AS a, JSON_OBJECTAGG(KEY k VALUE d ABSENT ON NULL) AS b FROM t WHERE ts = TIMESTAMP '2024-01-01 00:00:12' GROUP BY k

query distinct values of changing rows
# differs: folded
SELECT LISTAGG(DISTINCT v) AS a FROM (SELECT k, MAX(s) AS v FROM t GROUP BY k)

query collect of several
SELECT k, COLLECT(i) AS a FROM t WHERE i = 2 GROUP BY k

query array_agg of rows
SELECT k, ARRAY_AGG(ROW(i, s)) AS a FROM t GROUP BY k

query listagg over
# not yet
SELECT k, LISTAGG(s) OVER (PARTITION BY k ORDER BY ts) AS a FROM t

query array_agg with an order
# not yet
SELECT k, ARRAY_AGG(i ORDER BY i) AS a FROM t GROUP BY k

query listagg within group
SELECT k, LISTAGG(s) WITHIN GROUP (ORDER BY i) AS a FROM t GROUP BY k

query percentile beyond one
SELECT k, PERCENTILE(i, 1.5) AS a FROM t GROUP BY k

query grouping sets
# differs: kinds
SELECT k, LISTAGG(s) AS a FROM t WHERE k <> 'c' GROUP BY GROUPING SETS ((k), ())

query array_agg of distinct values with nulls
# differs: folded
SELECT k, ARRAY_AGG(DISTINCT i) AS a FROM t GROUP BY k

query listagg of an update's rows
# differs: folded
SELECT LISTAGG(s) AS a, FIRST_VALUE(i) AS f, LAST_VALUE(i) AS l FROM (SELECT k, MAX(s) AS s, SUM(i) AS i FROM t GROUP BY k) WHERE i > 1

query first and last with a filter
SELECT k, FIRST_VALUE(i) FILTER (WHERE b) AS f, LAST_VALUE(s) FILTER (WHERE i > 1) AS l FROM t GROUP BY k

query lists in cumulating windows
SELECT window_end, k, LISTAGG(s) AS a FROM TABLE(CUMULATE(TABLE t, DESCRIPTOR(ts), INTERVAL '5' SECOND, INTERVAL '10' SECOND)) WHERE k = 'a' GROUP BY window_start, window_end, k

query lists of joined rows
# differs: folded
SELECT t.k, LISTAGG(u.s) AS a FROM t JOIN (SELECT k, MAX(s) AS s FROM t GROUP BY k) AS u ON t.k = u.k WHERE t.k = 'b' GROUP BY t.k
