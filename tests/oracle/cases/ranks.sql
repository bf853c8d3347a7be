# Top-N, deduplication, ORDER BY and LIMIT.

ddl
CREATE TABLE bid (
  bidtime TIMESTAMP(3),
  price DECIMAL(10, 2),
  item STRING,
  who STRING,
  n INT,
  WATERMARK FOR bidtime AS bidtime - INTERVAL '1' SECOND
)

ddl
CREATE VIEW firsts AS SELECT bidtime, who, item FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY who ORDER BY bidtime) AS rn FROM bid) WHERE rn = 1

input bid
2020-04-15 08:05:00, 4.00, C, u1, 1
2020-04-15 08:07:00, 2.00, A, u1, 1
2020-04-15 08:09:00, 5.00, D, u2, 2
2020-04-15 08:11:00, 3.00, B, u2, 2
2020-04-15 08:13:00, 1.00, E, u1, 1
2020-04-15 08:09:30, 9.00, LATE, u1, 1
2020-04-15 08:12:59.500, 8.00, BEHIND, u3, 1
2020-04-15 08:17:00, 6.00, F, NULL, 0
2020-04-15 08:17:00, 6.00, F2, NULL, 0
2020-04-15 08:16:59.500, NULL, G, u3, 2
2020-04-15 08:16:59, 5.00, G2, u4, 2
2020-04-15 08:16:59, 5.00, G3, u4, 2
2020-04-15 08:22:00, NULL, H, u2, 2
2020-04-15 08:22:00.500, 9.00, I, u2, 2
2020-04-15 08:22:00.200, 0.50, J, u5, 1
2020-04-15 08:22:00.200, 0.25, K, u5, 1
2020-04-15 08:22:00.100, 0.75, L, u5, 1

query Top-2 with the rank
SELECT item, price, rn FROM (SELECT *, ROW_NUMBER() OVER (ORDER BY price DESC) AS rn FROM bid) WHERE rn <= 2

query Top-2 without the rank
SELECT item, price FROM (SELECT *, ROW_NUMBER() OVER (ORDER BY price DESC) AS rn FROM bid) WHERE rn <= 2

query Top-2 ascending: NULL comes first
SELECT item, price, rn FROM (SELECT *, ROW_NUMBER() OVER (ORDER BY price) AS rn FROM bid) WHERE rn <= 2

query Top-2 by key
SELECT who, item, rn FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY who ORDER BY price DESC) AS rn FROM bid) WHERE rn <= 2

query Top-2 by key without the rank
SELECT who, item FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY who ORDER BY price DESC) AS rn FROM bid) WHERE rn < 3

query Top-1 by key
SELECT who, item FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY who ORDER BY price DESC) AS rn FROM bid) WHERE rn = 1

query Top-1 by several keys
# differs: defect of Flink
SELECT who, item FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY who ORDER BY n DESC, item DESC) AS rn FROM bid) WHERE rn = 1

query the second
SELECT who, item, rn FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY who ORDER BY price DESC) AS rn FROM bid) WHERE rn = 2

query ranks two to three
SELECT who, item, rn FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY who ORDER BY price DESC) AS rn FROM bid) WHERE rn BETWEEN 2 AND 3

query ranks two to three without the rank
# differs: folded
SELECT who, item FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY who ORDER BY price DESC) AS rn FROM bid) WHERE rn >= 2 AND rn < 4

query as many as a column says
# differs: defect of Flink
SELECT who, item, rn FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY who, n ORDER BY price) AS rn FROM bid) WHERE rn <= n

query Top-2 of an aggregate
# differs: folded
SELECT who, s, rn FROM (SELECT *, ROW_NUMBER() OVER (ORDER BY s DESC) AS rn FROM (SELECT who, SUM(price) AS s FROM bid GROUP BY who)) WHERE rn <= 2

query Top-2 of an aggregate without the rank
# differs: kinds
SELECT who, s FROM (SELECT *, ROW_NUMBER() OVER (ORDER BY s DESC) AS rn FROM (SELECT who, SUM(price) AS s FROM bid GROUP BY who)) WHERE rn <= 2

query the least of a count: rows move down
# differs: kinds
SELECT who, c, rn FROM (SELECT *, ROW_NUMBER() OVER (ORDER BY c) AS rn FROM (SELECT who, COUNT(*) AS c FROM bid GROUP BY who)) WHERE rn <= 2

query the least of a count without the rank
# differs: kinds
SELECT who, c FROM (SELECT *, ROW_NUMBER() OVER (ORDER BY c) AS rn FROM (SELECT who, COUNT(*) AS c FROM bid GROUP BY who)) WHERE rn <= 2

query Top-1 of an aggregate
SELECT who, c FROM (SELECT *, ROW_NUMBER() OVER (ORDER BY c DESC, who) AS rn FROM (SELECT who, COUNT(*) AS c FROM bid GROUP BY who)) WHERE rn = 1

query an aggregate of a Top-N
# differs: folded
SELECT COUNT(*), SUM(price) FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY who ORDER BY price DESC) AS rn FROM bid) WHERE rn <= 2

query Top-N of a Top-N
# differs: folded
SELECT item, price, r2 FROM (SELECT *, ROW_NUMBER() OVER (ORDER BY price DESC) AS r2 FROM (SELECT * FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY who ORDER BY price DESC) AS rn FROM bid) WHERE rn <= 1)) WHERE r2 <= 2

query the last row of each key
SELECT who, item, bidtime FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY who ORDER BY bidtime DESC) AS rn FROM bid) WHERE rn = 1

query the first row of each key
SELECT who, item, bidtime FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY who ORDER BY bidtime ASC) AS rn FROM bid) WHERE rn = 1

query the first row of each key with its number
SELECT who, item, rn FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY who ORDER BY bidtime) AS rn FROM bid) WHERE rn <= 1

query the last two rows of each key
SELECT who, item, rn FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY who ORDER BY bidtime DESC) AS rn FROM bid) WHERE rn <= 2

query the first two rows of each key
SELECT who, item FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY who ORDER BY bidtime) AS rn FROM bid) WHERE rn <= 2

query the last row without a key
SELECT item FROM (SELECT *, ROW_NUMBER() OVER (ORDER BY bidtime DESC) AS rn FROM bid) WHERE rn = 1

query the first row by arrival
SELECT who, item FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY who ORDER BY PROCTIME()) AS rn FROM bid) WHERE rn = 1

query the last row by arrival
SELECT who, item FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY who ORDER BY PROCTIME() DESC) AS rn FROM bid) WHERE rn = 1

query Top-2 of windows
SELECT window_start, item, rn FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY window_start, window_end ORDER BY price DESC) AS rn FROM TABLE(TUMBLE(TABLE bid, DESCRIPTOR(bidtime), INTERVAL '10' MINUTES))) WHERE rn <= 2

query Top-1 of windows by key
SELECT window_end, who, item FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY window_start, window_end, who ORDER BY price, item DESC) AS rn FROM TABLE(TUMBLE(TABLE bid, DESCRIPTOR(bidtime), INTERVAL '10' MINUTES))) WHERE rn <= 1

query Top-1 of an aggregate of windows
SELECT window_end, who, s, rn FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY window_start, window_end ORDER BY s DESC) AS rn FROM (SELECT window_start, window_end, who, SUM(price) AS s FROM TABLE(TUMBLE(TABLE bid, DESCRIPTOR(bidtime), INTERVAL '10' MINUTES)) GROUP BY window_start, window_end, who)) WHERE rn <= 2

query the last row of windows
SELECT window_start, who, item FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY window_start, window_end, who ORDER BY bidtime DESC) AS rn FROM TABLE(TUMBLE(TABLE bid, DESCRIPTOR(bidtime), INTERVAL '10' MINUTES))) WHERE rn = 1

query the first row of windows
SELECT window_start, who, item FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY window_start, window_end, who ORDER BY bidtime) AS rn FROM TABLE(TUMBLE(TABLE bid, DESCRIPTOR(bidtime), INTERVAL '10' MINUTES))) WHERE rn = 1

query Top-1 by the end of windows alone
SELECT window_end, item FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY window_end ORDER BY price DESC) AS rn FROM TABLE(TUMBLE(TABLE bid, DESCRIPTOR(bidtime), INTERVAL '10' MINUTES))) WHERE rn <= 1

query Top-1 of hops
SELECT window_end, item, rn FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY window_start, window_end ORDER BY price DESC) AS rn FROM TABLE(HOP(TABLE bid, DESCRIPTOR(bidtime), INTERVAL '5' MINUTES, INTERVAL '10' MINUTES))) WHERE rn <= 1

query ORDER BY rowtime
SELECT item, bidtime FROM bid ORDER BY bidtime

query ORDER BY rowtime and more
SELECT item, bidtime, price FROM bid ORDER BY bidtime, price DESC

query ORDER BY with LIMIT
SELECT item, price FROM bid ORDER BY price DESC LIMIT 3

query ORDER BY with LIMIT and OFFSET
# differs: folded
SELECT item, price FROM bid ORDER BY price DESC LIMIT 2 OFFSET 1

query ORDER BY what is not shown with FETCH
SELECT item FROM bid ORDER BY price, item DESC FETCH FIRST 2 ROWS ONLY

query ORDER BY rowtime with LIMIT
SELECT item FROM bid ORDER BY bidtime LIMIT 2

query ORDER BY a position
SELECT item, price FROM bid ORDER BY 2 DESC LIMIT 1

query NULLS LAST
SELECT item, price FROM bid ORDER BY price NULLS LAST LIMIT 2

query NULLS FIRST
SELECT item, price FROM bid ORDER BY price DESC NULLS FIRST LIMIT 2

query ORDER BY an aggregate
SELECT who, COUNT(*) AS c FROM bid GROUP BY who ORDER BY c DESC, who LIMIT 2

query LIMIT
SELECT item FROM bid LIMIT 3

query LIMIT with OFFSET
SELECT item FROM bid LIMIT 3 OFFSET 2

query OFFSET alone
# differs: more is taken
SELECT item FROM bid OFFSET 13

query LIMIT in a subquery
SELECT item, price * 2 AS p FROM (SELECT * FROM bid LIMIT 3)

query LIMIT over updates
# differs: kinds
SELECT who, COUNT(*) AS c FROM bid GROUP BY who LIMIT 2

query ORDER BY in a subquery counts for nothing
SELECT item FROM (SELECT item, price FROM bid ORDER BY price)

query ORDER BY with LIMIT in a subquery
SELECT item FROM (SELECT * FROM bid ORDER BY price DESC LIMIT 2)

query ORDER BY time in a subquery counts for nothing
SELECT item FROM (SELECT * FROM bid ORDER BY bidtime)

query ORDER BY in WITH counts for nothing
WITH s AS (SELECT * FROM bid ORDER BY price) SELECT item FROM s

query LIMIT of a UNION
SELECT item FROM bid WHERE n = 1 UNION ALL SELECT item FROM (SELECT item FROM bid WHERE n = 2 LIMIT 1)

query ORDER BY an expression with LIMIT
SELECT item FROM bid ORDER BY price * -1, CHAR_LENGTH(item) DESC LIMIT 2

query ORDER BY text
SELECT item, who FROM bid ORDER BY item DESC, who LIMIT 2

query Top-1 over a filter behind it
# differs: kinds
SELECT who, item FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY who ORDER BY price DESC) AS rn FROM bid) WHERE rn = 1 AND price > 4

query Top-2 over a join
SELECT who, item, rn FROM (SELECT a.who, b.item, ROW_NUMBER() OVER (PARTITION BY a.who ORDER BY b.price DESC) AS rn FROM bid a JOIN bid b ON a.item = b.item) WHERE rn <= 2

query the last row, counted
SELECT item, COUNT(*) FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY who ORDER BY bidtime DESC) AS rn FROM bid) WHERE rn = 1 GROUP BY item

query Top-2 of sessions
SELECT window_start, window_end, item, rn FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY window_start, window_end ORDER BY price DESC) AS rn FROM TABLE(SESSION(TABLE bid, DESCRIPTOR(bidtime), INTERVAL '3' MINUTES))) WHERE rn <= 2

query ranks two to three of windows
SELECT window_end, item, rn FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY window_start, window_end ORDER BY price DESC) AS rn FROM TABLE(TUMBLE(TABLE bid, DESCRIPTOR(bidtime), INTERVAL '10' MINUTES))) WHERE rn BETWEEN 2 AND 3

query aggregate of a window Top-N
SELECT window_end, COUNT(*), SUM(price) FROM (SELECT * FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY window_start, window_end, n ORDER BY price DESC) AS rn FROM TABLE(TUMBLE(TABLE bid, DESCRIPTOR(bidtime), INTERVAL '10' MINUTES))) WHERE rn <= 2) GROUP BY window_start, window_end

query the first row, then windows
SELECT window_end, COUNT(*) FROM TABLE(TUMBLE(TABLE firsts, DESCRIPTOR(bidtime), INTERVAL '10' MINUTES)) GROUP BY window_start, window_end

query QUALIFY
SELECT who, item FROM bid QUALIFY ROW_NUMBER() OVER (PARTITION BY who ORDER BY price DESC) = 1

query RANK [rejected]
# differs: more is taken
SELECT who, item FROM (SELECT *, RANK() OVER (PARTITION BY who ORDER BY price DESC) AS r FROM bid) WHERE r <= 2

query ROW_NUMBER without a bound [rejected]
SELECT item, ROW_NUMBER() OVER (PARTITION BY who ORDER BY price DESC) AS rn FROM bid

query ROW_NUMBER with a lower bound alone [rejected]
SELECT item FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY who ORDER BY price DESC) AS rn FROM bid) WHERE rn > 2

query ORDER BY what is no time [rejected]
SELECT item FROM bid ORDER BY price

query ORDER BY time backwards [rejected]
SELECT item FROM bid ORDER BY bidtime DESC

query ORDER BY time over updates [rejected]
SELECT * FROM (SELECT who, bidtime FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY who ORDER BY bidtime DESC) AS rn FROM bid) WHERE rn = 1) ORDER BY bidtime

query ORDER BY with OFFSET alone [rejected]
SELECT item FROM bid ORDER BY bidtime OFFSET 2
