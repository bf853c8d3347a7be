WITH counts AS (
  SELECT auction, COUNT(*) AS n, window_start AS s, window_end AS e
  FROM TABLE(TUMBLE(TABLE bid, DESCRIPTOR(dt), INTERVAL '10' SECOND)) GROUP BY auction, window_start, window_end)
SELECT c.auction, c.n FROM counts c JOIN (SELECT MAX(n) AS m, s, e FROM counts GROUP BY s, e) g
ON c.s = g.s AND c.e = g.e AND c.n = g.m
