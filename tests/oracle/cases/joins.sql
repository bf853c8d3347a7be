# Outer joins, USING and NATURAL, windows that are joined. Two inputs come in any order, so results are compared folded.

ddl
CREATE TABLE l (id INT, x STRING);
CREATE TABLE r (id INT, y STRING, n BIGINT)

input l
1, a
2, b
NULL, c
3, d
1, e

input r
1, p, 10
1, q, 20
4, s, 30
NULL, t, 40
2, u, 5

query left
# differs: folded
SELECT l.id, x, y, n FROM l LEFT JOIN r ON l.id = r.id

query right
# differs: folded
SELECT l.id, x, y, n FROM l RIGHT JOIN r ON l.id = r.id

query full
# differs: folded
SELECT l.id, x, r.id, y FROM l FULL JOIN r ON l.id = r.id

query left with a condition of the right
# differs: folded
SELECT l.id, x, y FROM l LEFT JOIN r ON l.id = r.id AND n > 10

query left with a condition of the left
# differs: folded
SELECT l.id, x, y FROM l LEFT JOIN r ON l.id = r.id AND x <> 'a'

query full with a condition of both
# differs: folded
SELECT l.id, x, y FROM l FULL JOIN r ON l.id = r.id AND CHAR_LENGTH(x) * 15 < n

query WHERE on the padded side
# differs: folded
SELECT l.id, x, y FROM l LEFT JOIN r ON l.id = r.id WHERE n > 10

query WHERE that looks for padding
# differs: folded
SELECT l.id, x FROM l LEFT JOIN r ON l.id = r.id WHERE r.id IS NULL

query IS NOT DISTINCT FROM
# differs: folded
SELECT l.id, x, y FROM l LEFT JOIN r ON l.id IS NOT DISTINCT FROM r.id

query left without an equality
# differs: folded
SELECT x, y FROM l LEFT JOIN r ON l.id < r.id

query full without an equality
# differs: folded
SELECT x, y FROM l FULL JOIN r ON l.id > r.id

query cross
# differs: folded
SELECT x, y FROM l CROSS JOIN r

query USING
# differs: folded
SELECT * FROM l JOIN r USING (id)

query USING of a left join
# differs: folded
SELECT * FROM l LEFT JOIN r USING (id)

query USING of a right join
# differs: folded
SELECT * FROM l RIGHT JOIN r USING (id)

query USING of a full join
# differs: folded
SELECT id, x, y FROM l FULL JOIN r USING (id)

query NATURAL
# differs: folded
SELECT * FROM l NATURAL JOIN r

query NATURAL full
# differs: folded
SELECT * FROM l NATURAL FULL JOIN r

query three
# differs: folded
SELECT a.x, b.y, c.x FROM l a LEFT JOIN r b ON a.id = b.id FULL JOIN l c ON b.id = c.id AND c.x > a.x

query aggregates joined
# differs: folded
SELECT a.id, a.c, b.s FROM (SELECT id, COUNT(*) AS c FROM l GROUP BY id) a FULL JOIN (SELECT id, SUM(n) AS s FROM r GROUP BY id) b ON a.id = b.id

query an aggregate over a left join
# differs: folded
SELECT x, COUNT(y) AS ys, COUNT(*) AS c FROM l LEFT JOIN r ON l.id = r.id GROUP BY x

query NATURAL without common columns
# differs: folded
SELECT COUNT(*) FROM (SELECT x FROM l) NATURAL JOIN (SELECT y FROM r)

query NATURAL with ON [rejected]
SELECT * FROM l NATURAL JOIN r ON l.id = r.id

query no condition [rejected]
SELECT * FROM l LEFT JOIN r

query CROSS with ON [rejected]
SELECT * FROM l CROSS JOIN r ON l.id = r.id

query a condition that is no condition [rejected]
SELECT * FROM l JOIN r ON l.id

query USING a column that is on one side only [rejected]
SELECT * FROM l JOIN r USING (x)

query ambiguous [rejected]
SELECT id FROM l JOIN r ON l.id = r.id

reset

ddl
CREATE TABLE e (ts TIMESTAMP(3), id INT, x STRING, WATERMARK FOR ts AS ts - INTERVAL '1' SECOND)

input e
2024-01-01 10:00:01, 1, a
2024-01-01 10:00:02, 2, b
2024-01-01 10:00:12, 1, c
2024-01-01 10:00:03, NULL, late
2024-01-01 10:00:15, 2, d
2024-01-01 10:00:25, 2, f
2024-01-01 10:00:26, NULL, g

query window join
# differs: folded
SELECT l.id, l.x AS x, r.x AS y, l.window_start, r.window_end
FROM (SELECT * FROM TUMBLE(TABLE e, DESCRIPTOR(ts), INTERVAL '10' SECONDS)) l
JOIN (SELECT * FROM TUMBLE(TABLE e, DESCRIPTOR(ts), INTERVAL '10' SECONDS)) r
ON l.id = r.id AND l.window_start = r.window_start AND l.window_end = r.window_end

query window left join
# differs: folded
SELECT l.id, l.x AS x, r.x AS y
FROM (SELECT * FROM TUMBLE(TABLE e, DESCRIPTOR(ts), INTERVAL '10' SECONDS)) l
LEFT JOIN (SELECT * FROM TUMBLE(TABLE e, DESCRIPTOR(ts), INTERVAL '10' SECONDS)) r
ON l.id = r.id AND l.window_start = r.window_start AND l.window_end = r.window_end AND l.x < r.x

query window full join
# differs: folded
SELECT l.id, l.x AS x, r.x AS y, l.window_end
FROM (SELECT * FROM TUMBLE(TABLE e, DESCRIPTOR(ts), INTERVAL '10' SECONDS) WHERE x <> 'late') l
FULL JOIN (SELECT * FROM TUMBLE(TABLE e, DESCRIPTOR(ts), INTERVAL '10' SECONDS) WHERE x <> 'a') r
ON l.id = r.id AND l.window_start = r.window_start AND l.window_end = r.window_end

query window join of aggregates
# differs: folded
SELECT c.id, c.n, c.s
FROM (SELECT id, COUNT(*) AS n, window_start AS s, window_end AS e FROM HOP(TABLE e, DESCRIPTOR(ts), INTERVAL '5' SECONDS, INTERVAL '10' SECONDS) GROUP BY id, window_start, window_end) c
JOIN (SELECT MAX(n) AS m, s, e FROM (
    SELECT COUNT(*) AS n, window_start AS s, window_end AS e FROM HOP(TABLE e, DESCRIPTOR(ts), INTERVAL '5' SECONDS, INTERVAL '10' SECONDS) GROUP BY id, window_start, window_end) GROUP BY s, e) t
ON c.s = t.s AND c.e = t.e AND c.n >= t.m

query unequal windows
# differs: folded
SELECT l.id, l.x AS x, r.x AS y
FROM (SELECT * FROM TUMBLE(TABLE e, DESCRIPTOR(ts), INTERVAL '10' SECONDS)) l
LEFT JOIN (SELECT * FROM TUMBLE(TABLE e, DESCRIPTOR(ts), INTERVAL '20' SECONDS)) r
ON l.id = r.id AND l.window_start = r.window_start AND l.window_end = r.window_end
