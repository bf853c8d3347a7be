# Subqueries in expressions: IN, EXISTS, NOT IN with NULLs, scalar ones, correlated ones; INTERSECT and EXCEPT.

ddl
CREATE TABLE s (id INT, k STRING, x INT)

ddl
CREATE TABLE t (k STRING, y INT)

ddl
CREATE TABLE n (y INT)

ddl
CREATE TABLE nn (y INT NOT NULL)

ddl
CREATE TABLE e (y INT)

input s
1, a, 1
2, b, 2
3, a, 3
4, NULL, 4
5, c, NULL
6, b, 2

input t
a, 1
a, 3
b, 5
NULL, 4
d, NULL
a, 1

input n
1
NULL
3

input nn
1
3

query in
# differs: folded
SELECT id FROM s WHERE x IN (SELECT y FROM t)

query not in, with a NULL
# differs: folded
SELECT id FROM s WHERE x NOT IN (SELECT y FROM t)

query not in, without NULLs
# differs: folded
SELECT id FROM s WHERE x NOT IN (SELECT y FROM nn)

query not in, values without NULL of a column that may have one
# differs: folded
SELECT id FROM s WHERE x NOT IN (SELECT y FROM t WHERE y IS NOT NULL)

query not in nothing
# differs: folded
SELECT id FROM s WHERE x NOT IN (SELECT y FROM e)

query in nothing
# differs: folded
SELECT id FROM s WHERE x IN (SELECT y FROM e)

query exists, correlated
# differs: folded
SELECT id FROM s WHERE EXISTS (SELECT 1 FROM t WHERE t.k = s.k)

query not exists, correlated
# differs: folded
SELECT id FROM s WHERE NOT EXISTS (SELECT * FROM t WHERE t.k = s.k)

query exists, compared otherwise
# differs: folded
SELECT id FROM s WHERE EXISTS (SELECT 1 FROM t WHERE t.k = s.k AND t.y > s.x)

query exists, uncorrelated
# differs: folded
SELECT id FROM s WHERE EXISTS (SELECT 1 FROM t WHERE y > 4)

query exists nothing
# differs: folded
SELECT id FROM s WHERE EXISTS (SELECT 1 FROM e)

query not exists nothing
# differs: folded
SELECT id FROM s WHERE NOT EXISTS (SELECT 1 FROM e)

query in, correlated
# differs: folded
SELECT id FROM s WHERE x IN (SELECT y FROM t WHERE t.k = s.k)

query not in, correlated
# differs: folded
SELECT id FROM s WHERE x NOT IN (SELECT y FROM t WHERE t.k = s.k)

query in, several columns
# differs: folded
SELECT id FROM s WHERE (k, x) IN (SELECT k, y FROM t)

query two subqueries
# differs: folded
SELECT id FROM s WHERE x IN (SELECT y FROM t) AND k IN (SELECT k FROM t WHERE y > 0)

query in, of an aggregate
# differs: folded
SELECT id FROM s WHERE x IN (SELECT MAX(y) FROM t GROUP BY k)

query scalar of one row
# differs: folded
SELECT id, (SELECT MAX(y) FROM t) AS m FROM s

query compared with a scalar
# differs: folded
SELECT id FROM s WHERE x < (SELECT AVG(y) FROM t)

query scalar, correlated
# differs: folded
SELECT id, (SELECT MAX(y) FROM t WHERE t.k = s.k) AS m FROM s

query scalar count, correlated
# differs: folded
SELECT id, (SELECT COUNT(*) FROM t WHERE t.k = s.k) AS c FROM s

query scalar count of nothing
# differs: folded
SELECT id, (SELECT COUNT(*) FROM e) AS c FROM s

query compared with a correlated scalar
# differs: folded
SELECT id FROM s WHERE x >= (SELECT AVG(y) FROM t WHERE t.k = s.k)

query in under OR
# differs: folded
SELECT id FROM s WHERE x IN (SELECT y FROM t WHERE y IS NOT NULL) OR id = 2

query exists under OR
# differs: folded
SELECT id FROM s WHERE EXISTS (SELECT 1 FROM t WHERE t.k = s.k) OR id = 5

query in as a value
# differs: folded
SELECT id, x IN (SELECT y FROM t) AS f FROM s

query exists as a value
# differs: folded
SELECT id, EXISTS (SELECT 1 FROM t WHERE t.k = s.k) AS f FROM s

query in of having
# differs: folded
SELECT k, COUNT(*) AS c FROM s GROUP BY k HAVING COUNT(*) >= (SELECT MIN(y) FROM t)

query some
# differs: folded
SELECT id FROM s WHERE x = SOME (SELECT y FROM t)

query a subquery in a subquery
# differs: folded
SELECT id FROM s WHERE x IN (SELECT y FROM t WHERE t.k IN (SELECT k FROM s WHERE id = 1))

query a scalar of several rows
# differs: folded
SELECT id FROM s WHERE x = (SELECT y FROM n)

query intersect
# differs: folded
SELECT k, x FROM s INTERSECT SELECT k, y FROM t

query except
# differs: folded
SELECT k, x FROM s EXCEPT SELECT k, y FROM t

query intersect all
# differs: folded
SELECT k FROM s INTERSECT ALL SELECT k FROM t

query except all
# differs: folded
SELECT k FROM t EXCEPT ALL SELECT k FROM s

query except with NULLs
# differs: folded
SELECT y FROM t EXCEPT SELECT y FROM n

query union of both
# differs: folded
SELECT k FROM s UNION SELECT k FROM t
