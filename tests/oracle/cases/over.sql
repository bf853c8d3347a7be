# OVER: rows and ranges by event time, late rows, ties, every function, and what is refused.

ddl
CREATE TABLE bid (
  bidtime TIMESTAMP(3),
  price DECIMAL(10, 2),
  item STRING,
  who STRING,
  n INT,
  d DOUBLE,
  WATERMARK FOR bidtime AS bidtime - INTERVAL '1' SECOND
)

input bid
2020-04-15 08:05:00, 4.00, C, u1, 5, 1.5
2020-04-15 08:07:00, 2.00, A, u1, 7, NULL
2020-04-15 08:09:00, 5.00, D, u2, NULL, 2.5
2020-04-15 08:11:00, 3.00, B, u2, 2, 0.5
2020-04-15 08:13:00, 1.00, E, u1, 9, 4.0
2020-04-15 08:09:30, 9.00, LATE, u1, 5, 1.0
2020-04-15 08:12:00, 8.00, BEHIND, u2, 4, 1.0
2020-04-15 08:17:00, 6.00, F, NULL, 3, 3.0
2020-04-15 08:19:59.999, NULL, G, u2, 1, -1.0
2020-04-15 08:20:00, 7.50, TIE1, u1, 1, 7.0
2020-04-15 08:20:00, 2.50, TIE2, u1, 8, 2.0
2020-04-15 08:20:00, 2.50, TIE3, u2, 8, 2.0
2020-04-15 08:19:59.500, 1.25, LATER, u1, 6, 2.0
2020-04-15 08:41:00, 7.00, H, u1, 2, 1.0
2020-04-15 08:15:00, 7.00, OLD, u1, 2, 1.0
2020-04-15 08:15:00, 7.00, OLDNEW, u9, 2, 1.0

query rows 1 preceding, no key
SELECT item, SUM(price) OVER (ORDER BY bidtime ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS s FROM bid

query rows preceding by key
SELECT item, who, SUM(n) OVER w AS s, COUNT(*) OVER w AS c, COUNT(n) OVER w AS cn, AVG(price) OVER w AS a, MIN(n) OVER w AS mi, MAX(item) OVER w AS ma FROM bid WINDOW w AS (PARTITION BY who ORDER BY bidtime ROWS BETWEEN 2 PRECEDING AND CURRENT ROW)

query rows unbounded by key
SELECT item, who, SUM(n) OVER w AS s, COUNT(*) OVER w AS c, AVG(d) OVER w AS a, MIN(price) OVER w AS mi, MAX(item) OVER w AS ma FROM bid WINDOW w AS (PARTITION BY who ORDER BY bidtime ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)

query range preceding by key
# differs: which rows behind the watermark are late
SELECT item, who, SUM(n) OVER w AS s, COUNT(*) OVER w AS c, AVG(price) OVER w AS a, MIN(n) OVER w AS mi, MAX(item) OVER w AS ma FROM bid WINDOW w AS (PARTITION BY who ORDER BY bidtime RANGE BETWEEN INTERVAL '5' MINUTE PRECEDING AND CURRENT ROW)

query range preceding, no key
SELECT item, COUNT(*) OVER w AS c, SUM(price) OVER w AS s FROM bid WINDOW w AS (ORDER BY bidtime RANGE BETWEEN INTERVAL '3' MINUTE PRECEDING AND CURRENT ROW)

query default frame
SELECT item, who, SUM(n) OVER (PARTITION BY who ORDER BY bidtime) AS s, MAX(d) OVER (PARTITION BY who ORDER BY bidtime) AS m FROM bid

query short frames
SELECT item, SUM(n) OVER (PARTITION BY who ORDER BY bidtime ROWS 1 PRECEDING) AS s FROM bid

query short range
# differs: which rows behind the watermark are late
SELECT item, SUM(n) OVER (PARTITION BY who ORDER BY bidtime RANGE INTERVAL '2' MINUTE PRECEDING) AS s FROM bid

query rows current row
# differs: Flink refuses it
SELECT item, SUM(n) OVER (PARTITION BY who ORDER BY bidtime ROWS BETWEEN CURRENT ROW AND CURRENT ROW) AS s FROM bid

query range unbounded, no key
SELECT item, COUNT(*) OVER (ORDER BY bidtime RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS c FROM bid

query variance
SELECT item, STDDEV_POP(d) OVER w AS a, STDDEV_SAMP(d) OVER w AS b, VAR_POP(d) OVER w AS c, VAR_SAMP(d) OVER w AS e FROM bid WINDOW w AS (PARTITION BY who ORDER BY bidtime ROWS BETWEEN 2 PRECEDING AND CURRENT ROW)

query first and last value, rows
SELECT item, FIRST_VALUE(n) OVER w AS f, LAST_VALUE(n) OVER w AS l, FIRST_VALUE(item) OVER w AS fi, LAST_VALUE(item) OVER w AS li FROM bid WINDOW w AS (PARTITION BY who ORDER BY bidtime ROWS BETWEEN 1 PRECEDING AND CURRENT ROW)

query first and last value, unbounded
SELECT item, FIRST_VALUE(n) OVER w AS f, LAST_VALUE(n) OVER w AS l, FIRST_VALUE(item) OVER w AS fi, LAST_VALUE(item) OVER w AS li FROM bid WINDOW w AS (PARTITION BY who ORDER BY bidtime)

query distinct, rows
SELECT item, COUNT(DISTINCT n) OVER w AS c, SUM(DISTINCT n) OVER w AS s FROM bid WINDOW w AS (PARTITION BY who ORDER BY bidtime ROWS BETWEEN 3 PRECEDING AND CURRENT ROW)

query distinct, unbounded
SELECT item, COUNT(DISTINCT n) OVER w AS c, SUM(DISTINCT n) OVER w AS s FROM bid WINDOW w AS (PARTITION BY who ORDER BY bidtime)

query filter
# differs: Flink refuses it
SELECT item, COUNT(*) FILTER (WHERE n > 3) OVER w AS c FROM bid WINDOW w AS (PARTITION BY who ORDER BY bidtime)

query row_number
SELECT item, who, ROW_NUMBER() OVER (PARTITION BY who ORDER BY bidtime) AS r FROM bid

query rank
# differs: Flink gives peers the last rank
SELECT item, who, RANK() OVER (PARTITION BY who ORDER BY bidtime) AS r FROM bid

query dense_rank
# differs: Flink gives peers the last rank
SELECT item, who, DENSE_RANK() OVER (PARTITION BY who ORDER BY bidtime) AS r FROM bid

query lag
# differs: Flink counts peers wrongly
SELECT item, who, LAG(n) OVER (PARTITION BY who ORDER BY bidtime) AS l FROM bid

query lag 2 with default
# differs: Flink counts peers wrongly
SELECT item, who, LAG(n, 2, -1) OVER (PARTITION BY who ORDER BY bidtime) AS l FROM bid

query lag of text
# differs: Flink counts peers wrongly
SELECT item, who, LAG(item, 1) OVER (PARTITION BY who ORDER BY bidtime) AS l FROM bid

query lag 0
# differs: Flink counts peers wrongly
SELECT item, who, LAG(n, 0) OVER (PARTITION BY who ORDER BY bidtime) AS l FROM bid

query lead
SELECT item, who, LEAD(n) OVER (PARTITION BY who ORDER BY bidtime) AS l FROM bid

query ntile
SELECT item, NTILE(2) OVER (PARTITION BY who ORDER BY bidtime) AS l FROM bid

query percent_rank
SELECT item, PERCENT_RANK() OVER (PARTITION BY who ORDER BY bidtime) AS l FROM bid

query cume_dist
SELECT item, CUME_DIST() OVER (PARTITION BY who ORDER BY bidtime) AS l FROM bid

query in expressions
SELECT item, 2 * SUM(n) OVER w - 1 AS x, CASE WHEN COUNT(*) OVER w > 1 THEN 'more' ELSE 'one' END AS y FROM bid WINDOW w AS (PARTITION BY who ORDER BY bidtime ROWS BETWEEN 1 PRECEDING AND CURRENT ROW)

query arguments and keys are expressions
SELECT item, SUM(n + 1) OVER (PARTITION BY UPPER(who) ORDER BY bidtime ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS x FROM bid

query a named window that inherits
# differs: Flink forgets the frame
SELECT item, SUM(n) OVER (w ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS x FROM bid WINDOW w AS (PARTITION BY who ORDER BY bidtime)

query a named window on another
SELECT item, SUM(n) OVER v AS x FROM bid WINDOW w AS (PARTITION BY who), v AS (w ORDER BY bidtime)

query time and more
SELECT item, SUM(n) OVER (PARTITION BY who ORDER BY bidtime, n) AS x FROM bid

query with where, and an aggregate above
# differs: folded
SELECT who, MAX(s) AS m FROM (SELECT who, SUM(n) OVER (PARTITION BY who ORDER BY bidtime ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS s FROM bid WHERE n > 1) GROUP BY who

query order by a column that is no time
# differs: kinds
SELECT item, SUM(n) OVER (PARTITION BY who ORDER BY n) AS x FROM bid

query order by a column that is no time, rows
# differs: kinds
SELECT item, SUM(n) OVER (PARTITION BY who ORDER BY n ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS x FROM bid

query order by a column that is no time, descending
SELECT item, SUM(n) OVER (PARTITION BY who ORDER BY n DESC) AS x FROM bid

query order by a column that is no time, bounded rows
# differs: Flink refuses it
SELECT item, SUM(n) OVER (PARTITION BY who ORDER BY n ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS x FROM bid

query over an updating input
# differs: folded
SELECT who, c, SUM(c) OVER (PARTITION BY c ORDER BY who) AS x FROM (SELECT who, COUNT(*) AS c FROM bid GROUP BY who)

query over an updating input, bounded rows
# differs: Flink refuses it
SELECT who, c, SUM(c) OVER (ORDER BY who ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS x FROM (SELECT who, COUNT(*) AS c FROM bid GROUP BY who)

query row_number by a column that is no time
# differs: kinds
SELECT item, ROW_NUMBER() OVER (PARTITION BY who ORDER BY n) AS x FROM bid

query no order
SELECT item, SUM(n) OVER (PARTITION BY who) AS x FROM bid

query no order, rows
SELECT item, SUM(n) OVER (PARTITION BY who ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS x FROM bid

query empty window
SELECT item, COUNT(*) OVER () AS x FROM bid

query time descending
SELECT item, SUM(n) OVER (PARTITION BY who ORDER BY bidtime DESC) AS x FROM bid

query row_number, time descending
SELECT item, ROW_NUMBER() OVER (PARTITION BY who ORDER BY bidtime DESC) AS x FROM bid

query following
SELECT item, SUM(n) OVER (PARTITION BY who ORDER BY bidtime ROWS BETWEEN CURRENT ROW AND 1 FOLLOWING) AS x FROM bid

query unbounded following
SELECT item, SUM(n) OVER (PARTITION BY who ORDER BY bidtime ROWS BETWEEN 1 PRECEDING AND UNBOUNDED FOLLOWING) AS x FROM bid

query an upper bound before the row
SELECT item, SUM(n) OVER (PARTITION BY who ORDER BY bidtime ROWS BETWEEN 2 PRECEDING AND 1 PRECEDING) AS x FROM bid

query two windows
# differs: Flink refuses it
SELECT item, SUM(n) OVER (PARTITION BY who ORDER BY bidtime ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS x, SUM(n) OVER (PARTITION BY who ORDER BY bidtime ROWS BETWEEN 2 PRECEDING AND CURRENT ROW) AS y FROM bid

query two partitions
# differs: Flink refuses it
SELECT item, SUM(n) OVER (PARTITION BY who ORDER BY bidtime) AS x, SUM(n) OVER (ORDER BY bidtime) AS y FROM bid

query range with a number
SELECT item, SUM(n) OVER (PARTITION BY who ORDER BY bidtime RANGE BETWEEN 5 PRECEDING AND CURRENT ROW) AS x FROM bid

query range over a number
# differs: Flink refuses it
SELECT item, SUM(n) OVER (PARTITION BY who ORDER BY n RANGE BETWEEN 5 PRECEDING AND CURRENT ROW) AS x FROM bid

query rows with an interval
# differs: Flink counts the milliseconds as rows
SELECT item, SUM(n) OVER (PARTITION BY who ORDER BY bidtime ROWS BETWEEN INTERVAL '1' MINUTE PRECEDING AND CURRENT ROW) AS x FROM bid

query rows with a negative number
SELECT item, SUM(n) OVER (PARTITION BY who ORDER BY bidtime ROWS BETWEEN -1 PRECEDING AND CURRENT ROW) AS x FROM bid

query rows with an expression
SELECT item, SUM(n) OVER (PARTITION BY who ORDER BY bidtime ROWS BETWEEN n PRECEDING AND CURRENT ROW) AS x FROM bid

query rank with a frame
SELECT item, RANK() OVER (PARTITION BY who ORDER BY bidtime ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS x FROM bid

query lag with a frame
SELECT item, LAG(n) OVER (PARTITION BY who ORDER BY bidtime ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS x FROM bid

query rank without order
SELECT item, RANK() OVER (PARTITION BY who) AS x FROM bid

query row_number without order
SELECT item, ROW_NUMBER() OVER (PARTITION BY who) AS x FROM bid

query lag without order
SELECT item, LAG(n) OVER (PARTITION BY who) AS x FROM bid

query lag with a column as its distance
SELECT item, LAG(n, n) OVER (PARTITION BY who ORDER BY bidtime) AS x FROM bid

query over in where
SELECT item FROM bid WHERE SUM(n) OVER (PARTITION BY who ORDER BY bidtime) > 1

query over in group by
SELECT COUNT(*) AS c FROM bid GROUP BY SUM(n) OVER (PARTITION BY who ORDER BY bidtime)

query over with group by
# differs: folded
SELECT who, SUM(COUNT(*)) OVER (ORDER BY who) AS x FROM bid GROUP BY who

query over inside over
SELECT item, SUM(SUM(n) OVER (ORDER BY bidtime)) OVER (ORDER BY bidtime) AS x FROM bid

query unknown window
SELECT item, SUM(n) OVER v AS x FROM bid WINDOW w AS (ORDER BY bidtime)

query a function that is no aggregate
SELECT item, UPPER(item) OVER (ORDER BY bidtime) AS x FROM bid

query row_number without over
SELECT item, ROW_NUMBER() AS x FROM bid

query an inherited window with another order
SELECT item, SUM(n) OVER (w ORDER BY bidtime) AS x FROM bid WINDOW w AS (PARTITION BY who ORDER BY n)

query an inherited window with a partition
SELECT item, SUM(n) OVER (w PARTITION BY who) AS x FROM bid WINDOW w AS (ORDER BY bidtime)

query ignore nulls
SELECT item, FIRST_VALUE(n) IGNORE NULLS OVER (PARTITION BY who ORDER BY bidtime) AS x FROM bid

query respect nulls
SELECT item, LAST_VALUE(n) RESPECT NULLS OVER (PARTITION BY who ORDER BY bidtime) AS x FROM bid

query distinct avg with range
# differs: which rows behind the watermark are late
SELECT item, AVG(DISTINCT n) OVER (PARTITION BY who ORDER BY bidtime RANGE BETWEEN INTERVAL '5' MINUTE PRECEDING AND CURRENT ROW) AS x FROM bid

query qualify
SELECT item, SUM(n) OVER (PARTITION BY who ORDER BY bidtime) AS x FROM bid QUALIFY x > 5

query over a window table function
SELECT item, window_start, SUM(n) OVER (PARTITION BY window_start ORDER BY bidtime ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS x FROM TUMBLE(TABLE bid, DESCRIPTOR(bidtime), INTERVAL '10' MINUTES)

query proctime rows
SELECT item, SUM(n) OVER (PARTITION BY who ORDER BY pt ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS x FROM (SELECT item, n, who, PROCTIME() AS pt FROM bid)

query proctime unbounded range
SELECT item, SUM(n) OVER (PARTITION BY who ORDER BY pt) AS x, COUNT(DISTINCT n) OVER (PARTITION BY who ORDER BY pt) AS y FROM (SELECT item, n, who, PROCTIME() AS pt FROM bid)

query proctime row_number
SELECT item, ROW_NUMBER() OVER (PARTITION BY who ORDER BY pt) AS x FROM (SELECT item, n, who, PROCTIME() AS pt FROM bid)

query proctime lag
SELECT item, LAG(n) OVER (PARTITION BY who ORDER BY pt) AS x FROM (SELECT item, n, who, PROCTIME() AS pt FROM bid)

query proctime rank
SELECT item, RANK() OVER (PARTITION BY who ORDER BY pt) AS x FROM (SELECT item, n, who, PROCTIME() AS pt FROM bid)
