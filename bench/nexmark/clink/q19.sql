-- Without the rank: clink gives it to no column.
CREATE TABLE s (auction BIGINT, bidder BIGINT, price BIGINT, channel VARCHAR, url VARCHAR, "dateTime" BIGINT, extra
  VARCHAR) WITH ({sink});

INSERT INTO s SELECT auction,bidder,price,channel,url,"dateTime",extra FROM (SELECT *, ROW_NUMBER() OVER (PARTITION
  BY auction ORDER BY price DESC) AS rn FROM bid) AS R WHERE rn <= 10;
