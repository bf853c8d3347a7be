CREATE TABLE s (auction BIGINT, bidder BIGINT, price DECIMAL(23, 3), "dateTime" BIGINT, extra VARCHAR) WITH
  ({sink});

INSERT INTO s SELECT auction,bidder,0.908 * price AS price,"dateTime",extra FROM bid;
