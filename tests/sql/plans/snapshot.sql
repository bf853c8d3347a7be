SELECT auction, window_time, SUM(price) AS n FROM SNAPSHOT(TABLE bid, DESCRIPTOR(dt)) WHERE price > 5 GROUP BY auction, window_start, window_end, window_time
