SELECT bidder, window_end, COUNT(*) AS n FROM SLIDING(TABLE bid PARTITION BY bidder, DESCRIPTOR(dt), INTERVAL '10' SECOND) WHERE bidder > 5 AND price > 5 GROUP BY bidder, window_start, window_end
