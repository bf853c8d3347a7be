# Joins that time bounds: intervals, versions of a moment.

ddl
CREATE TABLE o (id INT, k STRING, amount INT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '1' SECOND);
CREATE TABLE s (sid INT, st TIMESTAMP(3), note STRING, WATERMARK FOR st AS st - INTERVAL '1' SECOND);
CREATE TABLE r (k STRING, rate INT, rt TIMESTAMP(3), PRIMARY KEY (k) NOT ENFORCED, WATERMARK FOR rt AS rt - INTERVAL '1' SECOND);
CREATE TABLE h (k STRING, rate INT, rt TIMESTAMP(3), WATERMARK FOR rt AS rt - INTERVAL '1' SECOND);
CREATE TABLE nokey (k STRING, rate INT, rt TIMESTAMP(3), WATERMARK FOR rt AS rt);
CREATE TABLE notime (k STRING, rate INT, rt TIMESTAMP(3), PRIMARY KEY (k) NOT ENFORCED);
CREATE TABLE wide (k STRING, region INT, rate INT, rt TIMESTAMP(3), PRIMARY KEY (k, region) NOT ENFORCED, WATERMARK FOR rt AS rt);
CREATE TABLE instant (id INT, it TIMESTAMP_LTZ(3), WATERMARK FOR it AS it);
CREATE TABLE p (id INT, k STRING, pt AS PROCTIME());
CREATE TABLE q (id INT, v STRING, qt AS PROCTIME());
CREATE VIEW latest AS SELECT k, rate, rt FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY k ORDER BY rt DESC) AS rn FROM h) WHERE rn = 1;
CREATE VIEW near AS SELECT o.ts, s.st FROM o JOIN s ON o.id = s.sid AND s.st BETWEEN o.ts AND o.ts + INTERVAL '10' SECOND;
CREATE VIEW far AS SELECT o.ts, s.st FROM o JOIN s ON o.id = s.sid AND s.st >= o.ts;
CREATE VIEW rated AS SELECT o.ts, r.rt, r.rate FROM o JOIN r FOR SYSTEM_TIME AS OF o.ts ON o.k = r.k;
CREATE VIEW last_o AS SELECT id, k, ts FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY k ORDER BY ts DESC) AS rn FROM o) WHERE rn = 1

input o
1, eur, 10, 2024-01-01 10:00:00
2, usd, 20, 2024-01-01 10:00:30
3, eur, 30, 2024-01-01 10:01:00
4, NULL, 40, 2024-01-01 10:01:30
5, jpy, 50, 2024-01-01 10:02:00
2, usd, 60, 2024-01-01 10:02:30
3, eur, 70, 2024-01-01 10:04:00

input s
1, 2024-01-01 10:00:05, a
2, 2024-01-01 10:00:29, b
2, 2024-01-01 10:00:40, c
3, 2024-01-01 10:01:00, d
3, 2024-01-01 10:01:10, f
NULL, 2024-01-01 10:01:30, e
5, 2024-01-01 10:02:11, NULL
9, 2024-01-01 10:03:00, g

input r
eur, 100, 2024-01-01 10:00:00
usd, 90, 2024-01-01 10:00:31
eur, 101, 2024-01-01 10:00:59.999
eur, 102, 2024-01-01 10:01:00.001
usd, 91, 2024-01-01 10:02:30
usd, 92, 2024-01-01 10:02:30
eur, 103, 2024-01-01 10:03:00

input h
eur, 100, 2024-01-01 10:00:00
usd, 90, 2024-01-01 10:00:31
eur, 101, 2024-01-01 10:00:59.999
eur, 102, 2024-01-01 10:01:00.001
eur, 103, 2024-01-01 10:03:00

input wide
eur, 1, 7, 2024-01-01 10:00:00
eur, 2, 8, 2024-01-01 10:00:10

input instant
1, 2024-01-01 10:00:00

query interval: inner
SELECT o.id, o.amount, s.note FROM o JOIN s ON o.id = s.sid AND s.st BETWEEN o.ts AND o.ts + INTERVAL '10' SECOND

query interval: left
SELECT o.id, o.amount, s.note FROM o LEFT JOIN s ON o.id = s.sid AND s.st BETWEEN o.ts AND o.ts + INTERVAL '10' SECOND

query interval: right
SELECT o.id, o.amount, s.sid, s.note FROM o RIGHT JOIN s ON o.id = s.sid AND s.st BETWEEN o.ts AND o.ts + INTERVAL '10' SECOND

query interval: full
SELECT o.id, o.amount, s.sid, s.note FROM o FULL JOIN s ON o.id = s.sid AND s.st BETWEEN o.ts AND o.ts + INTERVAL '10' SECOND

query interval: full with a condition of one side and one of both
SELECT o.id, o.amount, s.sid, s.note FROM o FULL JOIN s ON o.id = s.sid AND s.st BETWEEN o.ts - INTERVAL '5' SECOND AND o.ts + INTERVAL '10' SECOND AND o.amount > 10 AND s.note <> CAST(o.amount AS STRING)

query interval: strict bounds in WHERE
SELECT o.id, s.note FROM o, s WHERE o.id = s.sid AND o.ts < s.st AND o.ts > s.st - INTERVAL '10' SECOND

query interval: equal times
SELECT o.id, s.note FROM o JOIN s ON o.id = s.sid AND o.ts = s.st

query interval: both in the past of the other
SELECT o.id, s.note FROM o JOIN s ON o.id = s.sid AND o.ts BETWEEN s.st + INTERVAL '1' SECOND AND s.st + INTERVAL '2' MINUTE

query interval: bounds that nothing can meet
SELECT o.id, s.note FROM o LEFT JOIN s ON o.id = s.sid AND s.st BETWEEN o.ts + INTERVAL '10' SECOND AND o.ts

query interval: no equality
SELECT o.id, s.note FROM o JOIN s ON s.st BETWEEN o.ts AND o.ts + INTERVAL '10' SECOND

query interval: a window over the left's time
SELECT window_start, COUNT(*) AS n FROM TUMBLE(TABLE near, DESCRIPTOR(ts), INTERVAL '1' MINUTE) GROUP BY window_start, window_end

query interval: a window over the right's time
SELECT window_start, COUNT(*) AS n FROM TUMBLE(TABLE near, DESCRIPTOR(st), INTERVAL '1' MINUTE) GROUP BY window_start, window_end

query interval: one bound only is a regular join
SELECT o.id, s.note FROM o JOIN s ON o.id = s.sid AND s.st >= o.ts

query interval: no time attribute is left of a regular join
SELECT window_start, COUNT(*) AS n FROM TUMBLE(TABLE far, DESCRIPTOR(ts), INTERVAL '1' MINUTE) GROUP BY window_start, window_end

query interval: TIMESTAMP and TIMESTAMP_LTZ
# differs: a join without bounds in time gives the same rows
SELECT o.id FROM o JOIN instant i ON o.id = i.id AND i.it BETWEEN o.ts AND o.ts + INTERVAL '1' HOUR

query interval: processing time
SELECT p.id, q.v FROM p JOIN q ON p.id = q.id AND q.qt BETWEEN p.pt - INTERVAL '1' HOUR AND p.pt + INTERVAL '1' HOUR

query versions: inner
SELECT o.id, o.k, o.amount, r.rate FROM o JOIN r FOR SYSTEM_TIME AS OF o.ts ON o.k = r.k

query versions: left
SELECT o.id, o.k, o.amount, r.rate FROM o LEFT JOIN r FOR SYSTEM_TIME AS OF o.ts AS r ON o.k = r.k

query versions: left with a condition
SELECT o.id, o.k, o.amount, r.rate FROM o LEFT JOIN r FOR SYSTEM_TIME AS OF o.ts AS r ON o.k = r.k AND r.rate > o.amount + 50

query versions: a filter above
SELECT o.id, r.rate FROM o LEFT JOIN r FOR SYSTEM_TIME AS OF o.ts AS r ON o.k = r.k WHERE o.amount > 10 AND r.rate < 103

query versions: a view of the latest rows
SELECT o.id, v.rate FROM o LEFT JOIN latest FOR SYSTEM_TIME AS OF o.ts AS v ON o.k = v.k

query versions: a window over the left's time
SELECT window_start, SUM(rate) AS n FROM TUMBLE(TABLE rated, DESCRIPTOR(ts), INTERVAL '1' MINUTE) GROUP BY window_start, window_end

query versions: a window over the right's time
SELECT window_start, SUM(rate) AS n FROM TUMBLE(TABLE rated, DESCRIPTOR(rt), INTERVAL '1' MINUTE) GROUP BY window_start, window_end

query versions: no primary key
SELECT o.id, r.rate FROM o JOIN nokey FOR SYSTEM_TIME AS OF o.ts AS r ON o.k = r.k

query versions: no watermark
SELECT o.id, r.rate FROM o JOIN notime FOR SYSTEM_TIME AS OF o.ts AS r ON o.k = r.k

query versions: not the whole primary key
SELECT o.id, r.rate FROM o JOIN wide FOR SYSTEM_TIME AS OF o.ts AS r ON o.k = r.k

query versions: a constant for a part of the primary key
SELECT o.id, r.rate FROM o JOIN wide FOR SYSTEM_TIME AS OF o.ts AS r ON o.k = r.k AND r.region = 1

query versions: no equality
SELECT o.id, r.rate FROM o JOIN r FOR SYSTEM_TIME AS OF o.ts ON o.amount > r.rate

query versions: right join
SELECT o.id, r.rate FROM o RIGHT JOIN r FOR SYSTEM_TIME AS OF o.ts ON o.k = r.k

query versions: full join
SELECT o.id, r.rate FROM o FULL JOIN r FOR SYSTEM_TIME AS OF o.ts ON o.k = r.k

query versions: an expression for the time
SELECT o.id, r.rate FROM o JOIN r FOR SYSTEM_TIME AS OF o.ts - INTERVAL '1' SECOND ON o.k = r.k

query versions: a column that is no time attribute
# differs: a cast that changes nothing keeps the time attribute
SELECT o.id, r.rate FROM (SELECT id, k, CAST(ts AS TIMESTAMP(3)) AS ts FROM o) o JOIN r FOR SYSTEM_TIME AS OF o.ts ON o.k = r.k

query versions: TIMESTAMP_LTZ of versions in TIMESTAMP
SELECT i.id, r.rate FROM instant i JOIN r FOR SYSTEM_TIME AS OF i.it ON CAST(i.id AS STRING) = r.k

query versions: the present of a table that cannot be looked up
# differs: files can be looked up
SELECT p.id, n.rate FROM p JOIN notime FOR SYSTEM_TIME AS OF p.pt AS n ON p.k = n.k

query versions: AS OF without a join
SELECT * FROM r FOR SYSTEM_TIME AS OF TIMESTAMP '2024-01-01 10:00:00'

query versions: a comma join
SELECT o.id, r.rate FROM o, r FOR SYSTEM_TIME AS OF o.ts WHERE o.k = r.k

input o
1, eur, 10, 2024-01-01 10:00:10
2, eur, 20, 2024-01-01 10:01:00
3, eur, 30, 2024-01-01 10:00:20
4, eur, 40, 2024-01-01 10:02:00

input r
eur, 100, 2024-01-01 10:00:00
eur, 101, 2024-01-01 10:00:15
eur, 102, 2024-01-01 10:00:30

query versions: a late row, inner
# differs: late rows are rejected
SELECT a.id, a.ts, b.ts AS bt FROM o AS a JOIN last_o FOR SYSTEM_TIME AS OF a.ts AS b ON a.k = b.k

query versions: a late row, left
# differs: late rows are rejected
SELECT a.id, a.ts, b.ts AS bt FROM o AS a LEFT JOIN last_o FOR SYSTEM_TIME AS OF a.ts AS b ON a.k = b.k

query versions: a late row that the right knows
SELECT a.id, b.rate FROM o AS a LEFT JOIN (SELECT k, id AS rate, ts FROM last_o) FOR SYSTEM_TIME AS OF a.ts AS b ON a.k = b.k
