# SESSION windows in every form: as a table function, in an aggregate, in GROUP BY; merges, late rows, chains.

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
2020-04-15 08:14:00, 2.50, OPENS, u2
2020-04-15 08:41:00, 7.00, H, u1
2020-04-15 08:36:30, 7.00, BEHIND, u1
2020-04-15 08:37:00, 8.00, I, u2
2020-04-15 08:35:59, 8.00, GONE, u2
2020-04-15 08:46:00, 9.00, J, u1
2020-04-15 08:51:00.001, 9.00, K, u1

query session without keys
SELECT window_start, window_end, SUM(price) AS s, COUNT(*) AS n FROM TABLE(SESSION(TABLE bid, DESCRIPTOR(bidtime), INTERVAL '5' MINUTES)) GROUP BY window_start, window_end

query session by key
SELECT who, window_start, window_end, SUM(price) AS s, COUNT(*) AS n, MIN(item) AS mi, MAX(item) AS ma FROM TABLE(SESSION(TABLE bid PARTITION BY who, DESCRIPTOR(bidtime), INTERVAL '5' MINUTES)) GROUP BY who, window_start, window_end

query session without TABLE( )
SELECT who, window_start, window_end, COUNT(*) AS n FROM SESSION(TABLE bid PARTITION BY who, DESCRIPTOR(bidtime), INTERVAL '5' MINUTES) GROUP BY who, window_start, window_end

query session with named arguments
SELECT who, window_end, COUNT(*) AS n FROM TABLE(SESSION(DATA => TABLE bid PARTITION BY who, TIMECOL => DESCRIPTOR(bidtime), GAP => INTERVAL '5' MINUTES)) GROUP BY window_start, window_end, who

query session, grouped by more than its key
SELECT who, item, window_start, window_end, COUNT(*) AS n FROM TABLE(SESSION(TABLE bid PARTITION BY who, DESCRIPTOR(bidtime), INTERVAL '5' MINUTES)) GROUP BY who, item, window_start, window_end

query session, grouped by less than its key
# differs: folded
SELECT window_start, window_end, COUNT(*) AS n FROM TABLE(SESSION(TABLE bid PARTITION BY who, DESCRIPTOR(bidtime), INTERVAL '5' MINUTES)) GROUP BY window_start, window_end

query global session, grouped by a key
# differs: folded
SELECT who, window_start, window_end, COUNT(*) AS n FROM TABLE(SESSION(TABLE bid, DESCRIPTOR(bidtime), INTERVAL '5' MINUTES)) GROUP BY who, window_start, window_end

query session by two keys
SELECT who, item, window_start, window_end, COUNT(*) AS n FROM TABLE(SESSION(TABLE bid PARTITION BY (who, item), DESCRIPTOR(bidtime), INTERVAL '5' MINUTES)) GROUP BY who, item, window_start, window_end

query session, values kept
# differs: FIRST_VALUE and LAST_VALUE in sessions
SELECT who, window_start, window_end, COUNT(DISTINCT price) AS d, FIRST_VALUE(item) AS f, LAST_VALUE(item) AS l, STDDEV_POP(price) AS s FROM TABLE(SESSION(TABLE bid PARTITION BY who, DESCRIPTOR(bidtime), INTERVAL '5' MINUTES)) GROUP BY who, window_start, window_end

query session, conditions before and after
SELECT who, window_start, window_end, COUNT(*) AS n FROM TABLE(SESSION(TABLE bid PARTITION BY who, DESCRIPTOR(bidtime), INTERVAL '5' MINUTES)) WHERE price > 2 GROUP BY who, window_start, window_end HAVING COUNT(*) > 1

query session, condition in a subquery
# differs: folded
SELECT who, window_start, window_end, COUNT(*) AS n FROM TABLE(SESSION(TABLE bid PARTITION BY who, DESCRIPTOR(bidtime), INTERVAL '5' MINUTES)) WHERE who = 'u1' GROUP BY who, window_start, window_end

query session, window_time
SELECT who, window_time, COUNT(*) AS n FROM TABLE(SESSION(TABLE bid PARTITION BY who, DESCRIPTOR(bidtime), INTERVAL '5' MINUTES)) GROUP BY who, window_start, window_end, window_time

query bare session
SELECT * FROM TABLE(SESSION(TABLE bid PARTITION BY who, DESCRIPTOR(bidtime), INTERVAL '5' MINUTES))

query bare session without keys
SELECT item, window_start, window_end, window_time FROM TABLE(SESSION(TABLE bid, DESCRIPTOR(bidtime), INTERVAL '5' MINUTES))

query bare session, filtered
SELECT item, window_end FROM TABLE(SESSION(TABLE bid PARTITION BY who, DESCRIPTOR(bidtime), INTERVAL '5' MINUTES)) WHERE price > 3

query aggregate over a bare session by window_end alone
# differs: folded
SELECT window_end, COUNT(*) AS n FROM TABLE(SESSION(TABLE bid PARTITION BY who, DESCRIPTOR(bidtime), INTERVAL '5' MINUTES)) GROUP BY window_end

query tumble of a session's window_time
SELECT window_start, window_end, COUNT(*) AS n, SUM(m) AS m FROM TUMBLE((SELECT window_time, COUNT(*) AS m FROM TABLE(SESSION(TABLE bid PARTITION BY who, DESCRIPTOR(bidtime), INTERVAL '5' MINUTES)) GROUP BY who, window_start, window_end, window_time), DESCRIPTOR(window_time), INTERVAL '10' MINUTES) GROUP BY window_start, window_end

query tumble of a session's window_time, by a view of WITH
WITH s AS (SELECT window_time AS wt, COUNT(*) AS m FROM TABLE(SESSION(TABLE bid PARTITION BY who, DESCRIPTOR(bidtime), INTERVAL '5' MINUTES)) GROUP BY who, window_start, window_end, window_time)
SELECT window_start, window_end, COUNT(*) AS n, SUM(m) AS m FROM TABLE(TUMBLE(TABLE s, DESCRIPTOR(wt), INTERVAL '10' MINUTES)) GROUP BY window_start, window_end

query session over a tumble's result
WITH s AS (SELECT window_time AS wt, who, COUNT(*) AS m FROM TABLE(TUMBLE(TABLE bid, DESCRIPTOR(bidtime), INTERVAL '2' MINUTES)) GROUP BY who, window_start, window_end, window_time)
SELECT who, window_start, window_end, COUNT(*) AS n, SUM(m) AS m FROM TABLE(SESSION(TABLE s PARTITION BY who, DESCRIPTOR(wt), INTERVAL '5' MINUTES)) GROUP BY who, window_start, window_end

query aggregate of window bounds
SELECT window_start, window_end, MAX(window_end) AS e, COUNT(window_start) AS c, MIN(window_time) AS t FROM TABLE(SESSION(TABLE bid PARTITION BY who, DESCRIPTOR(bidtime), INTERVAL '5' MINUTES)) GROUP BY window_start, window_end, who

query legacy session
SELECT who, SESSION_START(bidtime, INTERVAL '5' MINUTE) AS s, SESSION_END(bidtime, INTERVAL '5' MINUTE) AS e, SESSION_ROWTIME(bidtime, INTERVAL '5' MINUTE) AS r, COUNT(*) AS n, SUM(price) AS p FROM bid GROUP BY who, SESSION(bidtime, INTERVAL '5' MINUTE)

query legacy session without keys
SELECT SESSION_START(bidtime, INTERVAL '5' MINUTE) AS s, COUNT(*) AS n, COUNT(DISTINCT who) AS d FROM bid GROUP BY SESSION(bidtime, INTERVAL '5' MINUTE)

query legacy session, having
SELECT who, COUNT(*) AS n FROM bid GROUP BY who, SESSION(bidtime, INTERVAL '5' MINUTE) HAVING COUNT(*) > 1

query legacy session, chained
SELECT TUMBLE_START(r, INTERVAL '10' MINUTE) AS s, SUM(n) AS n FROM (SELECT who, SESSION_ROWTIME(bidtime, INTERVAL '5' MINUTE) AS r, COUNT(*) AS n FROM bid GROUP BY who, SESSION(bidtime, INTERVAL '5' MINUTE)) GROUP BY TUMBLE(r, INTERVAL '10' MINUTE)

query session by a column that there is not
SELECT window_start, window_end, COUNT(*) AS n FROM TABLE(SESSION(TABLE bid PARTITION BY nobody, DESCRIPTOR(bidtime), INTERVAL '5' MINUTES)) GROUP BY window_start, window_end

query session with a size too many
SELECT window_start, window_end, COUNT(*) AS n FROM TABLE(SESSION(TABLE bid PARTITION BY who, DESCRIPTOR(bidtime), INTERVAL '5' MINUTES, INTERVAL '1' MINUTE)) GROUP BY window_start, window_end

query session over no time attribute
SELECT window_start, window_end, COUNT(*) AS n FROM TABLE(SESSION(TABLE bid PARTITION BY who, DESCRIPTOR(item), INTERVAL '5' MINUTES)) GROUP BY window_start, window_end

query partition by of TUMBLE
SELECT window_start, window_end, COUNT(*) AS n FROM TABLE(TUMBLE(TABLE bid PARTITION BY who, DESCRIPTOR(bidtime), INTERVAL '5' MINUTES)) GROUP BY window_start, window_end

reset

ddl
SET 'table.local-time-zone' = 'Europe/Berlin'

ddl
CREATE TABLE m (
  ms BIGINT,
  k STRING,
  ts AS TO_TIMESTAMP_LTZ(ms, 3),
  WATERMARK FOR ts AS ts - INTERVAL '1' SECOND
)

# 2023-10-29 00:50, 01:10 (both 02:50, 02:10 + … on the wall), 01:55, 02:30 UTC: summer time ends at 01:00 UTC.
input m
1698540600000, a
1698541800000, a
1698542400000, b
1698544500000, a
1698546600000, a
1698550200000, b

query session in a night that has 25 hours
SELECT k, window_start, window_end, COUNT(*) AS n FROM TABLE(SESSION(TABLE m PARTITION BY k, DESCRIPTOR(ts), INTERVAL '30' MINUTES)) GROUP BY k, window_start, window_end

query bare session in a night that has 25 hours
SELECT ms, k, window_start, window_end FROM TABLE(SESSION(TABLE m PARTITION BY k, DESCRIPTOR(ts), INTERVAL '30' MINUTES))

query legacy session in a night that has 25 hours
SELECT k, SESSION_START(ts, INTERVAL '30' MINUTE) AS s, SESSION_END(ts, INTERVAL '30' MINUTE) AS e, COUNT(*) AS n FROM m GROUP BY k, SESSION(ts, INTERVAL '30' MINUTE)
