CREATE TABLE s (channel VARCHAR, day VARCHAR, hm VARCHAR, a BIGINT, b BIGINT, c BIGINT, d BIGINT, x0 BIGINT, x1
  BIGINT, x2 BIGINT, x3 BIGINT, x4 BIGINT, x5 BIGINT, x6 BIGINT, x7 BIGINT) WITH ({sink});

INSERT INTO s SELECT channel, day, MAX(hm) AS hm, COUNT(*) AS a, SUM(p1) AS b, SUM(p2) AS c, SUM(p3) AS d,
  COUNT(DISTINCT bidder) AS bidderc, COUNT(DISTINCT b1) AS b1c, COUNT(DISTINCT b2) AS b2c, COUNT(DISTINCT b3) AS
  b3c, COUNT(DISTINCT auction) AS auctionc, COUNT(DISTINCT a1) AS a1c, COUNT(DISTINCT a2) AS a2c, COUNT(DISTINCT a3)
  AS a3c FROM (SELECT channel, auction, bidder, price, DATE_FORMAT("dateTime", 'yyyy-MM-dd') AS day,
  DATE_FORMAT("dateTime", 'HH:mm') AS hm, CASE WHEN price < 10000 THEN 1 ELSE 0 END AS p1, CASE WHEN price >= 10000
  AND price < 1000000 THEN 1 ELSE 0 END AS p2, CASE WHEN price >= 1000000 THEN 1 ELSE 0 END AS p3, CASE WHEN price <
  10000 THEN bidder END AS b1, CASE WHEN price >= 10000 AND price < 1000000 THEN bidder END AS b2, CASE WHEN price
  >= 1000000 THEN bidder END AS b3, CASE WHEN price < 10000 THEN auction END AS a1, CASE WHEN price >= 10000 AND
  price < 1000000 THEN auction END AS a2, CASE WHEN price >= 1000000 THEN auction END AS a3 FROM bid) AS X GROUP BY
  channel, day;
