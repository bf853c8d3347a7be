SELECT low, bidder FROM bid MATCH_RECOGNIZE (
  PARTITION BY auction, bidder ORDER BY dt
  MEASURES FIRST(A.price) AS low, SUM(B.price) AS s, B.price - LAST(A.price, 1) AS d
  AFTER MATCH SKIP TO LAST B
  PATTERN (A B{2,3}? (C | D)) WITHIN INTERVAL '1' HOUR
  DEFINE A AS A.price > 10, B AS B.price > LAST(B.price, 1) OR SUM(price) < 3
) WHERE auction = 3 AND low > 2
