-- count_char as in the text for Flink.
CREATE TABLE s (auction BIGINT, bidder BIGINT, price DECIMAL(23, 3), tt VARCHAR, "dateTime" BIGINT, extra VARCHAR, c
  BIGINT) WITH ({sink});

INSERT INTO s SELECT auction,bidder,p AS price, CASE WHEN h >= 8 AND h <= 18 THEN 'dayTime' WHEN h <= 6 OR h >= 20
  THEN 'nightTime' ELSE 'otherTime' END AS tt, "dateTime", extra, CHAR_LENGTH(extra) - CHAR_LENGTH(REPLACE(extra,
  'c', '')) AS c FROM (SELECT auction, bidder, 0.908 * price AS p, EXTRACT(HOUR FROM "dateTime") AS h, "dateTime",
  extra FROM bid) AS X WHERE p > 1000000 AND p < 50000000;
