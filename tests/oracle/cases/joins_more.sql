# Times of window joins, keys that are only declared, kinds of changes of one side alone.

ddl
CREATE TABLE a (ts TIMESTAMP(3), id INT, x STRING, WATERMARK FOR ts AS ts - INTERVAL '1' SECOND);
CREATE TABLE b (ts TIMESTAMP(3), id INT, y STRING, WATERMARK FOR ts AS ts - INTERVAL '1' SECOND);
CREATE VIEW aw AS SELECT * FROM TABLE(TUMBLE(TABLE a, DESCRIPTOR(ts), INTERVAL '10' SECONDS));
CREATE VIEW bw AS SELECT * FROM TABLE(TUMBLE(TABLE b, DESCRIPTOR(ts), INTERVAL '10' SECONDS));
CREATE VIEW inner_times AS SELECT aw.id, x, y, aw.ts AS t1, bw.ts AS t2, aw.window_time AS w1, bw.window_time AS w2
  FROM aw JOIN bw ON aw.id = bw.id AND aw.window_start = bw.window_start AND aw.window_end = bw.window_end;
CREATE VIEW left_times AS SELECT aw.id, x, y, aw.window_time AS w1, bw.window_time AS w2
  FROM aw LEFT JOIN bw ON aw.id = bw.id AND aw.window_start = bw.window_start AND aw.window_end = bw.window_end;
CREATE VIEW semi_times AS SELECT aw.id, x, ts, window_time AS w1 FROM aw
  WHERE EXISTS (SELECT * FROM bw WHERE aw.id = bw.id AND aw.window_start = bw.window_start AND aw.window_end = bw.window_end)

input a
2024-01-01 10:00:01, 1, a1
2024-01-01 10:00:02, 2, a2
2024-01-01 10:00:12, 1, a1b
2024-01-01 10:00:25, 2, a2c
2024-01-01 10:00:36, 3, a3

input b
2024-01-01 10:00:03, 2, b2
2024-01-01 10:00:04, 3, b3
2024-01-01 10:00:14, 1, b1b
2024-01-01 10:00:27, 2, b2c
2024-01-01 10:00:37, 3, b3c

query times of both sides
SELECT * FROM inner_times

query a window over the left's
SELECT window_start, window_end, COUNT(*) AS c FROM TABLE(TUMBLE(TABLE inner_times, DESCRIPTOR(w1), INTERVAL '20' SECONDS)) GROUP BY window_start, window_end

query a window over the right's
SELECT window_start, window_end, COUNT(*) AS c FROM TABLE(TUMBLE(TABLE inner_times, DESCRIPTOR(w2), INTERVAL '20' SECONDS)) GROUP BY window_start, window_end

query a window over a rowtime from below
SELECT window_start, window_end, COUNT(*) AS c FROM TABLE(TUMBLE(TABLE inner_times, DESCRIPTOR(t1), INTERVAL '20' SECONDS)) GROUP BY window_start, window_end

query a window over a left join, the left's
SELECT window_start, window_end, COUNT(y) AS c FROM TABLE(TUMBLE(TABLE left_times, DESCRIPTOR(w1), INTERVAL '20' SECONDS)) GROUP BY window_start, window_end

query a window over a left join, the right's
SELECT window_start, window_end, COUNT(y) AS c FROM TABLE(TUMBLE(TABLE left_times, DESCRIPTOR(w2), INTERVAL '20' SECONDS)) GROUP BY window_start, window_end

query times of a left join
SELECT w1, w2 FROM left_times

query times of a semi join
SELECT * FROM semi_times

query a window over a semi join
SELECT window_start, window_end, COUNT(*) AS c FROM TABLE(TUMBLE(TABLE semi_times, DESCRIPTOR(w1), INTERVAL '20' SECONDS)) GROUP BY window_start, window_end

query ordered by the time of a window join
SELECT id, x, y FROM inner_times ORDER BY w1

query over the time of a window join
SELECT id, x, COUNT(*) OVER (ORDER BY w1) AS c FROM inner_times

query a window with keys over a window join
SELECT id, window_end, MAX(x) AS m FROM TABLE(HOP(TABLE inner_times, DESCRIPTOR(w1), INTERVAL '10' SECONDS, INTERVAL '20' SECONDS)) GROUP BY id, window_start, window_end

reset

ddl
CREATE TABLE l (id INT, x STRING);
CREATE TABLE k (id INT NOT NULL, v STRING, PRIMARY KEY (id) NOT ENFORCED);
CREATE TABLE nothing (id INT, y STRING)

input l
1, a
2, b
1, c
NULL, d
2, e

input k
1, one
2, two
3, three

query updates and an empty right
SELECT c.id, n, y FROM (SELECT id, COUNT(*) AS n FROM l GROUP BY id) c LEFT JOIN nothing ON c.id = nothing.id

query updates and an empty right, full
SELECT c.id, n, y FROM (SELECT id, COUNT(*) AS n FROM l GROUP BY id) c FULL JOIN nothing ON c.id = nothing.id

query updates and an empty left
SELECT c.id, n, y FROM nothing RIGHT JOIN (SELECT id, COUNT(*) AS n FROM l GROUP BY id) c ON c.id = nothing.id

query updates that nothing matches, anti
SELECT id, n FROM (SELECT id, COUNT(*) AS n FROM l GROUP BY id) c WHERE NOT EXISTS (SELECT * FROM nothing WHERE nothing.id = c.id)

query a total and an empty right
SELECT n, y FROM (SELECT COUNT(*) AS n FROM l) LEFT JOIN nothing ON n = nothing.id

query a filter over an outer join
SELECT c.id, n FROM (SELECT id, COUNT(*) AS n FROM l GROUP BY id) c LEFT JOIN nothing ON c.id = nothing.id WHERE nothing.id IS NULL AND n > 1

query an aggregate over an outer join
SELECT n, COUNT(*) AS c FROM (SELECT c.id, n FROM (SELECT id, COUNT(*) AS n FROM l GROUP BY id) c LEFT JOIN nothing ON c.id = nothing.id) GROUP BY n

query a declared key
# differs: folded
SELECT l.x, k.v FROM l LEFT JOIN k ON l.id = k.id

query a declared key on both sides
# differs: folded
SELECT p.id, p.v, q.v FROM k p FULL JOIN (SELECT * FROM k WHERE id < 3) q ON p.id = q.id

query chance in the condition of updates
SELECT c.id, n, v FROM (SELECT id, COUNT(*) AS n FROM l GROUP BY id) c JOIN k ON c.id = k.id AND RAND() * n < 5
