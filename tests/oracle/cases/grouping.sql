# GROUPING SETS, CUBE and ROLLUP with and without windows; other window forms.

ddl
CREATE TABLE bid (
  bidtime TIMESTAMP(3),
  price DECIMAL(10, 2),
  item STRING,
  who STRING,
  WATERMARK FOR bidtime AS bidtime - INTERVAL '1' SECOND
)

input bid
2020-04-15 08:05:00, 4.00, C, u1
2020-04-15 08:07:00, 2.00, A, u1
2020-04-15 08:09:00, 5.00, D, u2
2020-04-15 08:11:00, 3.00, C, u2
2020-04-15 08:13:00, 1.00, A, u1
2020-04-15 08:09:30, 9.00, A, u1
2020-04-15 08:17:00, 6.00, C, NULL

query grouping sets
# differs: kinds
SELECT who, item, COUNT(*) AS n, SUM(price) AS s FROM bid GROUP BY GROUPING SETS ((who, item), (who), ())

query grouping sets with a plain key
# differs: kinds
SELECT who, item, COUNT(*) AS n FROM bid GROUP BY who, GROUPING SETS ((item), ())

query rollup
# differs: kinds
SELECT who, item, COUNT(*) AS n FROM bid GROUP BY ROLLUP (who, item)

query cube
# differs: kinds
SELECT who, item, COUNT(*) AS n FROM bid GROUP BY CUBE (who, item)

query cube and rollup together
# differs: kinds
SELECT who, item, COUNT(*) AS n FROM bid GROUP BY CUBE (who), ROLLUP (item)

query GROUPING and GROUPING_ID
# differs: kinds
SELECT who, item, GROUPING(who) AS gw, GROUPING(item) AS gi, GROUPING_ID(who, item) AS id, GROUP_ID() AS g, COUNT(*) AS n FROM bid GROUP BY CUBE (who, item)

query GROUPING of several
# differs: kinds
SELECT who, item, GROUPING(who, item) AS g, COUNT(*) AS n FROM bid GROUP BY ROLLUP (who, item)

query an aggregate of a grouped column
# differs: kinds
SELECT who, COUNT(who) AS c, MAX(item) AS m, COUNT(DISTINCT who) AS d FROM bid GROUP BY GROUPING SETS ((who), ())

query grouping sets, a set twice
# differs: folded
SELECT who, COUNT(*) AS n FROM bid GROUP BY GROUPING SETS ((who), (who))

query grouping sets, having
# differs: kinds
SELECT who, item, COUNT(*) AS n FROM bid GROUP BY ROLLUP (who, item) HAVING GROUPING(item) = 1

query grouping sets by expressions
# differs: kinds
SELECT UPPER(who) AS w, price > 3 AS p, COUNT(*) AS n FROM bid GROUP BY GROUPING SETS ((UPPER(who)), (price > 3))

query grouping sets, a key NOT NULL
# differs: kinds
SELECT COALESCE(who, '-') AS w, COUNT(*) AS n FROM bid GROUP BY ROLLUP (COALESCE(who, '-'))

query the empty set alone
SELECT COUNT(*) AS n, SUM(price) AS s FROM bid GROUP BY ()

query GROUPING in a plain GROUP BY
SELECT who, GROUPING(who) AS g, COUNT(*) AS n FROM bid GROUP BY who

query nested grouping sets
# differs: more is taken
SELECT who, item, COUNT(*) AS n FROM bid GROUP BY GROUPING SETS (ROLLUP (who, item), CUBE (item))

query tumble with grouping sets
SELECT window_start, window_end, who, item, COUNT(*) AS n FROM TUMBLE(TABLE bid, DESCRIPTOR(bidtime), INTERVAL '10' MINUTES) GROUP BY window_start, window_end, GROUPING SETS ((who, item), (who), ())

query tumble with rollup
SELECT window_start, window_end, who, SUM(price) AS s, GROUPING(who) AS g FROM TUMBLE(TABLE bid, DESCRIPTOR(bidtime), INTERVAL '10' MINUTES) GROUP BY window_start, window_end, ROLLUP (who)

query hop with cube
SELECT window_start, window_end, who, item, SUM(price) AS s FROM HOP(TABLE bid, DESCRIPTOR(bidtime), INTERVAL '5' MINUTES, INTERVAL '10' MINUTES) GROUP BY window_start, window_end, CUBE (who, item)

query cumulate with rollup
SELECT window_start, window_end, who, SUM(price) AS s FROM CUMULATE(TABLE bid, DESCRIPTOR(bidtime), INTERVAL '5' MINUTES, INTERVAL '10' MINUTES) GROUP BY window_start, window_end, ROLLUP (who)

query session with rollup
# differs: windows in GROUPING SETS
SELECT window_start, window_end, who, SUM(price) AS s FROM TABLE(SESSION(TABLE bid PARTITION BY who, DESCRIPTOR(bidtime), INTERVAL '5' MINUTES)) GROUP BY window_start, window_end, ROLLUP (who)

query legacy tumble with grouping sets
# differs: more is taken
SELECT TUMBLE_START(bidtime, INTERVAL '10' MINUTE) AS s, who, COUNT(*) AS n FROM bid GROUP BY TUMBLE(bidtime, INTERVAL '10' MINUTE), ROLLUP (who)

query the window inside the grouping sets
SELECT window_start, window_end, who, COUNT(*) AS n FROM TUMBLE(TABLE bid, DESCRIPTOR(bidtime), INTERVAL '10' MINUTES) GROUP BY GROUPING SETS ((window_start, window_end, who), (window_start, window_end))

query the window in only one of the sets
# differs: windows in GROUPING SETS
SELECT window_start, window_end, who, COUNT(*) AS n FROM TUMBLE(TABLE bid, DESCRIPTOR(bidtime), INTERVAL '10' MINUTES) GROUP BY GROUPING SETS ((window_start, window_end, who), (who))

query GROUPING of what is not grouped
SELECT who, GROUPING(item) AS g, COUNT(*) AS n FROM bid GROUP BY ROLLUP (who)

query a column outside the sets
SELECT who, price, COUNT(*) AS n FROM bid GROUP BY ROLLUP (who)

query tumble of window bounds
SELECT window_start, window_end, MAX(window_end) AS e, COUNT(window_start) AS c, SUM(CASE WHEN window_end > bidtime THEN price END) AS x FROM TUMBLE(TABLE bid, DESCRIPTOR(bidtime), INTERVAL '10' MINUTES) GROUP BY window_start, window_end

query hop of window bounds
SELECT window_start, window_end, MAX(window_end) AS e, MIN(window_time) AS t, COUNT(*) AS n FROM HOP(TABLE bid, DESCRIPTOR(bidtime), INTERVAL '5' MINUTES, INTERVAL '10' MINUTES) GROUP BY window_start, window_end

query keyed by an expression of the window
SELECT window_start, window_end, MINUTE(window_start) AS m, COUNT(*) AS n FROM TUMBLE(TABLE bid, DESCRIPTOR(bidtime), INTERVAL '10' MINUTES) GROUP BY window_start, window_end, MINUTE(window_start)

query by window_end alone
SELECT window_end, COUNT(*) AS n FROM TUMBLE(TABLE bid, DESCRIPTOR(bidtime), INTERVAL '10' MINUTES) GROUP BY window_end

query tumble over an updating input
SELECT window_start, window_end, COUNT(*) AS n FROM TUMBLE((SELECT bidtime, who, COUNT(*) AS c FROM bid GROUP BY bidtime, who), DESCRIPTOR(bidtime), INTERVAL '10' MINUTES) GROUP BY window_start, window_end

query session over an updating input
WITH g AS (SELECT bidtime, who, COUNT(*) AS c FROM bid GROUP BY bidtime, who)
SELECT who, window_start, window_end, SUM(c) AS n FROM TABLE(SESSION(TABLE g PARTITION BY who, DESCRIPTOR(bidtime), INTERVAL '10' MINUTES)) GROUP BY who, window_start, window_end

query legacy hop with all its words
SELECT who, HOP_START(bidtime, INTERVAL '5' MINUTE, INTERVAL '10' MINUTE) AS s, HOP_END(bidtime, INTERVAL '5' MINUTE, INTERVAL '10' MINUTE) AS e, HOP_ROWTIME(bidtime, INTERVAL '5' MINUTE, INTERVAL '10' MINUTE) AS r, COUNT(*) AS n FROM bid GROUP BY who, HOP(bidtime, INTERVAL '5' MINUTE, INTERVAL '10' MINUTE)

query legacy hop whose size is no multiple
SELECT HOP_START(bidtime, INTERVAL '4' MINUTE, INTERVAL '10' MINUTE) AS s, COUNT(*) AS n FROM bid GROUP BY HOP(bidtime, INTERVAL '4' MINUTE, INTERVAL '10' MINUTE)

query legacy tumble, an alignment
SELECT TUMBLE_START(bidtime, INTERVAL '10' MINUTE, TIME '00:03:00') AS s, COUNT(*) AS n FROM bid GROUP BY TUMBLE(bidtime, INTERVAL '10' MINUTE, TIME '00:03:00')

query legacy window of months
SELECT TUMBLE_START(bidtime, INTERVAL '1' MONTH) AS s, COUNT(*) AS n FROM bid GROUP BY TUMBLE(bidtime, INTERVAL '1' MONTH)

query legacy window twice
SELECT COUNT(*) AS n FROM bid GROUP BY TUMBLE(bidtime, INTERVAL '10' MINUTE), HOP(bidtime, INTERVAL '5' MINUTE, INTERVAL '10' MINUTE)

query other size in the auxiliary
SELECT TUMBLE_START(bidtime, INTERVAL '5' MINUTE) AS s, COUNT(*) AS n FROM bid GROUP BY TUMBLE(bidtime, INTERVAL '10' MINUTE)

query cumulate that emits on update only
SELECT window_start, window_end, who, COUNT(*) AS n FROM CUMULATE(DATA => TABLE bid, TIMECOL => DESCRIPTOR(bidtime), STEP => INTERVAL '2' MINUTES, SIZE => INTERVAL '10' MINUTES) GROUP BY window_start, window_end, who
