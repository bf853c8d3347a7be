CREATE TABLE s (auction BIGINT, bidder BIGINT, price BIGINT, "dateTime" BIGINT, extra VARCHAR, dt VARCHAR, hm
  VARCHAR) WITH ({sink});

INSERT INTO s SELECT auction,bidder,price,"dateTime",extra, DATE_FORMAT("dateTime", 'yyyy-MM-dd') AS dt,
  DATE_FORMAT("dateTime", 'HH:mm') AS hm FROM bid;
