# UNNEST of arrays, maps, rows and multisets; LATERAL subqueries.

ddl
CREATE TABLE t (id INT, txt STRING, x INT)

ddl
CREATE TABLE u (k INT, v STRING, y INT)

input t
1, 'a b', 1
2, c, 2
3, NULL, 3
4, 'd e f', NULL

input u
1, one, 10
1, uno, 11
2, two, 20
1, eins, 12
5, five, 50

query unnest an array
SELECT id, w FROM t CROSS JOIN UNNEST(SPLIT(txt, ' ')) AS s(w)

query unnest by comma
SELECT id, w FROM t, UNNEST(ARRAY[x, x + 1]) AS s(w)

query left join unnest
SELECT id, w FROM t LEFT JOIN UNNEST(SPLIT(txt, ' ')) AS s(w) ON TRUE

query unnest with ordinality
SELECT id, w, i FROM t CROSS JOIN UNNEST(ARRAY[x, x * 10]) WITH ORDINALITY AS s(w, i)

query unnest a map
SELECT id, k, v FROM t CROSS JOIN UNNEST(MAP['a', x]) AS s(k, v)

query unnest rows
SELECT id, a, b FROM t CROSS JOIN UNNEST(ARRAY[ROW(x, 'p'), ROW(id, 'q')]) AS s(a, b)

query unnest with a condition
# differs: defect of Flink
SELECT id, w FROM t JOIN UNNEST(ARRAY[x, 2]) AS s(w) ON w = id

query unnest of an updating input
SELECT c, w FROM (SELECT x, COUNT(*) AS c, MAX(id) AS m FROM t GROUP BY x) CROSS JOIN UNNEST(ARRAY[m, 7]) AS s(w)

query unnest alone
SELECT w FROM UNNEST(ARRAY[1, 2, 3]) AS s(w)

query unnest then group
# differs: folded
SELECT w, COUNT(*) AS c FROM t CROSS JOIN UNNEST(ARRAY[1, id]) AS s(w) GROUP BY w

query unnest with an array without an alias for the column
SELECT id, s FROM t CROSS JOIN UNNEST(ARRAY[x]) AS s

query lateral with a condition
# differs: folded
SELECT t.id, l.v FROM t, LATERAL (SELECT v, y FROM u WHERE u.k = t.id) AS l

query lateral left
# differs: folded
SELECT t.id, l.v FROM t LEFT JOIN LATERAL (SELECT v FROM u WHERE u.k = t.id) AS l ON TRUE

query lateral aggregate
# differs: folded
SELECT t.id, l.m FROM t, LATERAL (SELECT MAX(y) AS m FROM u WHERE u.k = t.id) AS l

query lateral count without partners
# differs: folded
SELECT t.id, l.c FROM t, LATERAL (SELECT COUNT(*) AS c FROM u WHERE u.k = t.id) AS l

query lateral top two
# differs: defect of Flink
SELECT t.id, l.v FROM t, LATERAL (SELECT v, y FROM u WHERE u.k = t.id ORDER BY y DESC LIMIT 2) AS l

query lateral top one of distinct keys
# differs: folded
SELECT k, v FROM (SELECT DISTINCT k FROM u) AS d, LATERAL (SELECT v, y FROM u WHERE u.k = d.k ORDER BY y DESC LIMIT 1)

query lateral grouped
# differs: folded
SELECT t.id, l.v, l.n FROM t, LATERAL (SELECT v, COUNT(*) AS n FROM u WHERE u.k = t.id GROUP BY v) AS l
