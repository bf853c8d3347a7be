CREATE TABLE s (auction BIGINT, bidder BIGINT, price BIGINT, channel VARCHAR, url VARCHAR, "dateTime" BIGINT, extra
  VARCHAR) WITH ({sink});

INSERT INTO s SELECT auction,bidder,price,channel,url,"dateTime",extra FROM (SELECT *, ROW_NUMBER() OVER (PARTITION
  BY bidder, auction ORDER BY "dateTime" DESC) AS rn FROM bid) AS R WHERE rn <= 1;
