# Queries: tables, views, unions, joins, constant rows.

ddl
CREATE TABLE o (id INT, who STRING, amount INT);
CREATE TABLE u (name STRING, city STRING, lim INT);
CREATE TABLE c (a INT, b AS a * 2, s STRING, t AS UPPER(s) || '!');
CREATE VIEW big AS SELECT id, who FROM o WHERE amount > 10;
CREATE TEMPORARY VIEW named (x, y) AS SELECT id, who FROM o

input o
1, ann, 5
2, bob, 15
3, NULL, 25
4, ann, 35
5, zed, 45
5, zed, 45

input u
ann, Rome, 10
bob, Oslo, 20
ann, Bern, 30
NULL, Nowhere, 0
cyd, Lima, 5

input c
1, x
NULL, NULL
-3, ß

query all columns
SELECT * FROM o

query computed columns
SELECT * FROM c

query a computed column in an expression
SELECT b + 1 AS b1, t FROM c WHERE b < 0 OR b IS NULL

query a view
SELECT * FROM big

query a view with column names
SELECT y, x FROM named WHERE x > 2

query aliases
SELECT p.id AS i, p.* FROM o AS p

query table aliases with columns
SELECT a1, b1 FROM o AS p (a1, b1, c1)

query unnamed expressions
SELECT 1, id + 1, UPPER(who) FROM o

query where with three-valued logic
SELECT id FROM o WHERE who <> 'ann'

query not in with values
SELECT id FROM o WHERE who NOT IN ('ann', 'bob')

query like
SELECT id FROM o WHERE who LIKE '%n%'

query common table expressions
WITH a AS (SELECT id, amount FROM o), b (i, m) AS (SELECT id, amount FROM a WHERE amount > 10) SELECT i, m FROM b

query nested subqueries
SELECT x.id FROM (SELECT y.id FROM (SELECT id FROM o WHERE id > 1) AS y WHERE y.id < 5) AS x

query union all
SELECT id FROM o UNION ALL SELECT a FROM c

query union all, types meet
SELECT id FROM o UNION ALL SELECT CAST(a AS BIGINT) FROM c

query union all of three with NULL
SELECT id, who FROM o UNION ALL SELECT a, s FROM c UNION ALL SELECT lim, CAST(NULL AS STRING) FROM u

query union all of other widths
SELECT id FROM o UNION ALL SELECT a, b FROM c

query distinct
SELECT DISTINCT who FROM o

query distinct of expressions
SELECT DISTINCT amount / 10 AS d, who IS NULL AS e FROM o

query inner join
SELECT o.id, u.city FROM o JOIN u ON o.who = u.name

query comma join
SELECT o.id, u.city FROM o, u WHERE o.who = u.name

query join using
SELECT * FROM (SELECT who AS name, id FROM o) JOIN u USING (name)

query natural join
SELECT * FROM (SELECT who AS name, id FROM o) NATURAL JOIN u

query join with residual
SELECT o.id, u.city FROM o JOIN u ON o.who = u.name AND o.amount > u.lim

query join on an expression
SELECT o.id, u.city FROM o JOIN u ON UPPER(o.who) = UPPER(u.name) AND o.amount = u.lim + 5

query self join
SELECT a.id AS x, b.id AS y FROM o AS a JOIN o AS b ON a.who = b.who WHERE a.id < b.id

query three tables
SELECT o.id, u.city, c.t FROM o JOIN u ON o.who = u.name JOIN c ON c.a = o.id

query join of updates
SELECT o.id, n.n FROM o JOIN (SELECT name, COUNT(*) AS n FROM u GROUP BY name) AS n ON o.who = n.name

query aggregate of a join
SELECT u.city, SUM(o.amount) AS s, COUNT(*) AS n FROM o JOIN u ON o.who = u.name GROUP BY u.city

query join with other key types
SELECT o.id, c.a FROM o JOIN c ON CAST(o.id AS BIGINT) = c.a

query join on what is not distinct
SELECT o.id, u.city FROM o JOIN u ON o.who IS NOT DISTINCT FROM u.name

query cross join
SELECT o.id, c.a FROM o CROSS JOIN c

query join without equality
SELECT o.id, c.a FROM o JOIN c ON o.id > c.a

query join of values
SELECT o.id, v.x FROM o JOIN (VALUES ('ann', 1), ('bob', 2)) AS v (n, x) ON o.who = v.n

query values
VALUES (1, 'a'), (2, 'bcd')

query values with NULL
# differs: NULL without a type
VALUES (1, 'a'), (2, 'bcd'), (NULL, NULL)

query values with types that meet
SELECT * FROM (VALUES (1, 'a'), (2.5, 'bcd'), (3, CAST(NULL AS STRING))) AS v (n, s)

query values of one column
SELECT x + 1 AS y FROM (VALUES (1), (2)) AS v (x)

query without a table
SELECT 1 AS a, 'x' AS b

query limit
SELECT x FROM (VALUES (1), (2), (3)) AS v (x) LIMIT 2

query in a subquery of values
SELECT id FROM o WHERE id IN (1, 2, 3) AND who IS NOT NULL

query case over columns
SELECT id, CASE WHEN amount > 30 THEN 'big' WHEN amount > 10 THEN 'mid' END AS c FROM o

query boolean columns
SELECT id, amount > 20 AS b, NOT (amount > 20) AS nb FROM o

query where true, false, null
SELECT id FROM o WHERE NULL

query where a constant
SELECT id FROM o WHERE 1 = 1 AND id = 1

query quoted names
SELECT `id` AS `my id`, `o`.`who` AS `select` FROM `o`

query qualified table name
SELECT id FROM default_catalog.default_database.o

query case of names
SELECT ID FROM o

query case of functions
select upper(who) as x from o where id = 1

query comments
SELECT /* here */ id -- there
FROM o
