-- Windows of event time: clink has none of processing time.
CREATE TABLE s (bidder BIGINT, bid_count BIGINT, starttime BIGINT) WITH ({sink});

INSERT INTO s SELECT bidder, COUNT(*) AS bid_count, window_start AS starttime FROM bid GROUP BY TUMBLE("dateTime",
  INTERVAL '10' SECOND), bidder;
