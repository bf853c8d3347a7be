SELECT b.auction, b.price FROM bid b JOIN (
  SELECT MAX(price) AS m, window_end AS e FROM TABLE(TUMBLE(TABLE bid, DESCRIPTOR(dt), INTERVAL '10' SECOND))
  GROUP BY window_start, window_end) w
ON b.price = w.m WHERE b.dt BETWEEN w.e - INTERVAL '10' SECOND AND w.e
