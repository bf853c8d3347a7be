CREATE TABLE s (auction BIGINT, day VARCHAR, a BIGINT, b BIGINT, c BIGINT, d BIGINT, mi BIGINT, ma BIGINT, av
  DOUBLE, su BIGINT) WITH ({sink});

INSERT INTO s SELECT auction, day, COUNT(*) AS a, SUM(p1) AS b, SUM(p2) AS c, SUM(p3) AS d, MIN(price) AS mi,
  MAX(price) AS ma, AVG(price) AS av, SUM(price) AS su FROM (SELECT auction, price, DATE_FORMAT("dateTime", 'yyyy-
  MM-dd') AS day, CASE WHEN price < 10000 THEN 1 ELSE 0 END AS p1, CASE WHEN price >= 10000 AND price < 1000000 THEN
  1 ELSE 0 END AS p2, CASE WHEN price >= 1000000 THEN 1 ELSE 0 END AS p3 FROM bid) AS X GROUP BY auction, day;
