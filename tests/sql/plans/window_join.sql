SELECT l.auction, l.n, r.n AS m FROM (SELECT auction, window_start AS s, window_end AS e, COUNT(*) AS n FROM TUMBLE(TABLE bid, DESCRIPTOR(dt), INTERVAL '10' SECOND) GROUP BY auction, window_start, window_end) l
LEFT JOIN (SELECT auction, window_start AS s, window_end AS e, COUNT(*) AS n FROM TUMBLE(TABLE bid, DESCRIPTOR(dt), INTERVAL '10' SECOND) WHERE price > 5 GROUP BY auction, window_start, window_end) r
ON l.auction = r.auction AND l.s = r.s AND l.e = r.e
