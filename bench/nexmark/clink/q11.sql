CREATE TABLE s (bidder BIGINT, c BIGINT, w BIGINT) WITH ({sink});

INSERT INTO s SELECT bidder, COUNT(*) AS c, window_start AS w FROM bid GROUP BY SESSION("dateTime", INTERVAL '10'
  SECOND), bidder;
