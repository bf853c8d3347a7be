SELECT auction, bidder, price, channel, url, dateTime, extra
FROM (
  SELECT *, row_number() OVER (PARTITION BY bidder, auction ORDER BY dateTime DESC, place DESC) AS rank_number
  FROM (SELECT *, row_number() OVER () AS place FROM {bid})
)
WHERE rank_number <= 1
