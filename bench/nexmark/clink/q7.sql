CREATE TABLE s (auction BIGINT, price BIGINT, bidder BIGINT, bt BIGINT, extra VARCHAR) WITH ({sink});

INSERT INTO s SELECT B.auction AS auction, B.price AS price, B.bidder AS bidder, B."dateTime" AS bt, B.extra AS
  extra FROM bid AS B JOIN (SELECT MAX(price) AS maxprice, window_start AS ws, window_end AS we FROM bid GROUP BY
  TUMBLE("dateTime", INTERVAL '10' SECOND)) AS B1 ON B.price = B1.maxprice WHERE B."dateTime" BETWEEN B1.ws AND
  B1.we;
