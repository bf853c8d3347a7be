WITH bids AS (SELECT * FROM {bid})
SELECT B.auction, B.price, B.bidder, B.dateTime, B.extra
FROM bids B JOIN (
  SELECT max(price) AS most, time_bucket(INTERVAL 10 SECOND, dateTime) + INTERVAL 10 SECOND AS window_end
  FROM bids
  GROUP BY 2
) M ON B.price = M.most
WHERE B.dateTime BETWEEN M.window_end - INTERVAL 10 SECOND AND M.window_end
