SELECT bidder, window_end, COUNT(*) AS n FROM TABLE(TUMBLE(TABLE bid, DESCRIPTOR(dt), INTERVAL '10' SECOND)) WHERE price > 5 GROUP BY bidder, window_start, window_end
