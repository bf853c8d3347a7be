CREATE TABLE s (wstart BIGINT, auction BIGINT, num BIGINT) WITH ({sink});

INSERT INTO s SELECT A.wstart AS wstart, A.auction AS auction, A.num AS num FROM (SELECT auction, COUNT(*) AS num,
  window_start AS wstart FROM bid GROUP BY HOP("dateTime", INTERVAL '10' SECOND, INTERVAL '2' SECOND), auction) AS A
  JOIN (SELECT MAX(num) AS maxn, wstart FROM (SELECT auction, COUNT(*) AS num, window_start AS wstart FROM bid GROUP
  BY HOP("dateTime", INTERVAL '10' SECOND, INTERVAL '2' SECOND), auction) AS C GROUP BY wstart) AS M ON A.wstart =
  M.wstart WHERE A.num >= M.maxn;
