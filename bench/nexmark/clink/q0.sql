CREATE TABLE s (auction BIGINT, bidder BIGINT, price BIGINT, "dateTime" BIGINT, extra VARCHAR) WITH ({sink});

INSERT INTO s SELECT auction,bidder,price,"dateTime",extra FROM bid;
