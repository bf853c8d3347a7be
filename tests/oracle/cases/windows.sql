# Windows by event time, late rows among them.

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
2020-04-15 08:11:00, 3.00, B, u2
2020-04-15 08:13:00, 1.00, E, u1
2020-04-15 08:09:30, 9.00, LATE, u1
2020-04-15 08:17:00, 6.00, F, NULL
2020-04-15 08:19:59.999, NULL, G, u2
2020-04-15 08:41:00, 7.00, H, u1

query tumble with keys
SELECT window_start, window_end, who, SUM(price) AS s, COUNT(*) AS n, COUNT(price) AS c, AVG(price) AS a, MIN(item) AS mi, MAX(item) AS ma
FROM TUMBLE(TABLE bid, DESCRIPTOR(bidtime), INTERVAL '10' MINUTES) GROUP BY window_start, window_end, who

query tumble, TABLE( ) form, window_time
SELECT window_time, SUM(price) FROM TABLE(TUMBLE(TABLE bid, DESCRIPTOR(bidtime), INTERVAL '10' MINUTES)) GROUP BY window_start, window_end, window_time

query tumble with offset
SELECT window_start, window_end, COUNT(*) AS n FROM TUMBLE(TABLE bid, DESCRIPTOR(bidtime), INTERVAL '10' MINUTES, INTERVAL '3' MINUTES) GROUP BY window_start, window_end

query tumble with negative offset
SELECT window_start, window_end, COUNT(*) AS n FROM TUMBLE(TABLE bid, DESCRIPTOR(bidtime), INTERVAL '10' MINUTES, INTERVAL '-3' MINUTES) GROUP BY window_start, window_end

query tumble with named arguments
SELECT window_start, COUNT(*) AS n FROM TUMBLE(DATA => TABLE bid, TIMECOL => DESCRIPTOR(bidtime), SIZE => INTERVAL '10' MINUTES) GROUP BY window_start, window_end

query bare tumble
SELECT * FROM TUMBLE(TABLE bid, DESCRIPTOR(bidtime), INTERVAL '10' MINUTES)

query bare hop
SELECT item, window_start, window_end, window_time FROM HOP(TABLE bid, DESCRIPTOR(bidtime), INTERVAL '5' MINUTES, INTERVAL '10' MINUTES)

query hop
SELECT window_start, window_end, SUM(price) AS s, COUNT(*) AS n FROM HOP(TABLE bid, DESCRIPTOR(bidtime), INTERVAL '5' MINUTES, INTERVAL '10' MINUTES) GROUP BY window_start, window_end

query hop with keys and offset
SELECT window_start, window_end, who, COUNT(*) AS n FROM HOP(TABLE bid, DESCRIPTOR(bidtime), INTERVAL '2' MINUTES, INTERVAL '6' MINUTES, INTERVAL '1' MINUTE) GROUP BY window_start, window_end, who

query hop, size no multiple of slide
SELECT window_start, COUNT(*) FROM HOP(TABLE bid, DESCRIPTOR(bidtime), INTERVAL '4' MINUTES, INTERVAL '10' MINUTES) GROUP BY window_start, window_end

query cumulate
SELECT window_start, window_end, SUM(price) AS s FROM CUMULATE(TABLE bid, DESCRIPTOR(bidtime), INTERVAL '2' MINUTES, INTERVAL '10' MINUTES) GROUP BY window_start, window_end

query cumulate with keys
SELECT window_start, window_end, who, COUNT(*) AS n FROM CUMULATE(TABLE bid, DESCRIPTOR(bidtime), INTERVAL '5' MINUTES, INTERVAL '20' MINUTES) GROUP BY window_start, window_end, who

query bare cumulate
SELECT item, window_start, window_end FROM CUMULATE(TABLE bid, DESCRIPTOR(bidtime), INTERVAL '5' MINUTES, INTERVAL '10' MINUTES)

query a window's start alone
SELECT window_start, COUNT(*) AS n FROM TUMBLE(TABLE bid, DESCRIPTOR(bidtime), INTERVAL '10' MINUTES) GROUP BY window_start

query distinct and filter in windows
SELECT window_start, COUNT(DISTINCT who) AS d, COUNT(*) FILTER (WHERE price > 3) AS f, SUM(price) FILTER (WHERE who = 'u1') AS g, COUNT(DISTINCT who) FILTER (WHERE price > 2) AS h FROM TUMBLE(TABLE bid, DESCRIPTOR(bidtime), INTERVAL '10' MINUTES) GROUP BY window_start, window_end

query having and expressions over windows
SELECT window_start, SUM(price) * 2 AS s2, CASE WHEN COUNT(*) > 2 THEN 'many' ELSE 'few' END AS c FROM TUMBLE(TABLE bid, DESCRIPTOR(bidtime), INTERVAL '10' MINUTES) WHERE item <> 'A' GROUP BY window_start, window_end HAVING COUNT(*) > 1

query a key that is an expression
SELECT window_start, window_end, UPPER(who) || 'x' AS k, COUNT(*) AS n FROM TUMBLE(TABLE bid, DESCRIPTOR(bidtime), INTERVAL '10' MINUTES) GROUP BY window_start, window_end, UPPER(who) || 'x'

query aggregate of the windows' result
SELECT who, SUM(n) AS total FROM (SELECT window_start, window_end, who, COUNT(*) AS n FROM TUMBLE(TABLE bid, DESCRIPTOR(bidtime), INTERVAL '10' MINUTES) GROUP BY window_start, window_end, who) GROUP BY who

query legacy tumble
SELECT TUMBLE_START(bidtime, INTERVAL '10' MINUTE) AS ws, TUMBLE_END(bidtime, INTERVAL '10' MINUTE) AS we, SUM(price) AS s, COUNT(*) AS n FROM bid GROUP BY TUMBLE(bidtime, INTERVAL '10' MINUTE)

query legacy tumble with key and rowtime
SELECT who, TUMBLE_ROWTIME(bidtime, INTERVAL '10' MINUTE) AS rt, COUNT(*) AS n FROM bid GROUP BY who, TUMBLE(bidtime, INTERVAL '10' MINUTE)

query legacy hop
SELECT HOP_START(bidtime, INTERVAL '5' MINUTE, INTERVAL '10' MINUTE) AS ws, HOP_END(bidtime, INTERVAL '5' MINUTE, INTERVAL '10' MINUTE) AS we, COUNT(*) AS n FROM bid GROUP BY HOP(bidtime, INTERVAL '5' MINUTE, INTERVAL '10' MINUTE)

query legacy windows chained
SELECT TUMBLE_END(rt, INTERVAL '20' MINUTE) AS we, SUM(n) AS n2 FROM (SELECT TUMBLE_ROWTIME(bidtime, INTERVAL '10' MINUTE) AS rt, COUNT(*) AS n FROM bid GROUP BY TUMBLE(bidtime, INTERVAL '10' MINUTE)) GROUP BY TUMBLE(rt, INTERVAL '20' MINUTE)

query current watermark
SELECT item, CURRENT_WATERMARK(bidtime) AS w FROM bid

query rows that are late for the watermark
SELECT item FROM bid WHERE CURRENT_WATERMARK(bidtime) IS NULL OR bidtime > CURRENT_WATERMARK(bidtime)

query all rows pass a projection
SELECT item, price * 2 AS p FROM bid

ddl
CREATE TEMPORARY VIEW v AS SELECT bidtime, item FROM bid WHERE price > 2;
CREATE TEMPORARY VIEW w AS SELECT window_time AS wt, SUM(price) AS s FROM TUMBLE(TABLE bid, DESCRIPTOR(bidtime), INTERVAL '5' MINUTES) GROUP BY window_start, window_end, window_time

query window over a filtered view
SELECT window_end, COUNT(*) AS n FROM TUMBLE(TABLE v, DESCRIPTOR(bidtime), INTERVAL '10' MINUTES) GROUP BY window_start, window_end

query windows of windows
SELECT window_start, window_end, SUM(s) AS s2, COUNT(*) AS n FROM TUMBLE(TABLE w, DESCRIPTOR(wt), INTERVAL '20' MINUTES) GROUP BY window_start, window_end

reset

ddl
CREATE TABLE z (
  ms BIGINT,
  k STRING,
  ts AS TO_TIMESTAMP_LTZ(ms, 3),
  WATERMARK FOR ts AS ts - INTERVAL '1' SECOND
);
SET 'table.local-time-zone' = 'Europe/Berlin'

input z
1711832400000, a
1711843200000, b
1711846800000, c
1711882800000, d
1711922400000, e
1729980000000, f
1729989000000, g
1729992600000, h
1729996200000, i
1730070000000, j

query days in a zone with daylight saving
SELECT window_start, window_end, COUNT(*) AS n, MIN(k) AS k FROM TUMBLE(TABLE z, DESCRIPTOR(ts), INTERVAL '1' DAY) GROUP BY window_start, window_end

query hours in a zone with daylight saving
# differs: daylight saving
SELECT window_start, window_end, window_time, COUNT(*) AS n FROM TUMBLE(TABLE z, DESCRIPTOR(ts), INTERVAL '1' HOUR) GROUP BY window_start, window_end, window_time

query hops in a zone with daylight saving
SELECT window_start, window_end, COUNT(*) AS n FROM HOP(TABLE z, DESCRIPTOR(ts), INTERVAL '12' HOUR, INTERVAL '1' DAY) GROUP BY window_start, window_end

query legacy days in a zone
SELECT TUMBLE_START(ts, INTERVAL '1' DAY) AS ws, TUMBLE_END(ts, INTERVAL '1' DAY) AS we, TUMBLE_ROWTIME(ts, INTERVAL '1' DAY) AS rt, COUNT(*) AS n FROM z GROUP BY TUMBLE(ts, INTERVAL '1' DAY)

query bare window in a zone
SELECT k, ts, window_start, window_end, window_time FROM TUMBLE(TABLE z, DESCRIPTOR(ts), INTERVAL '1' DAY)

query current watermark in a zone
SELECT k, CURRENT_WATERMARK(ts) AS w FROM z
