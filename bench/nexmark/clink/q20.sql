CREATE TABLE s (auction BIGINT, bidder BIGINT, price BIGINT, channel VARCHAR, url VARCHAR, bt BIGINT, be VARCHAR,
  itemname VARCHAR, description VARCHAR, initialbid BIGINT, reserve BIGINT, at BIGINT, expires BIGINT, seller
  BIGINT, category BIGINT, ae VARCHAR) WITH ({sink});

INSERT INTO s SELECT B.auction AS auction, B.bidder AS bidder, B.price AS price, B.channel AS channel, B.url AS url,
  B."dateTime" AS bt, B.extra AS be, A."itemName" AS itemname, A.description AS description, A."initialBid" AS
  initialbid, A.reserve AS reserve, A."dateTime" AS at, A.expires AS expires, A.seller AS seller, A.category AS
  category, A.extra AS ae FROM bid AS B INNER JOIN auction AS A ON B.auction = A.id WHERE A.category = 10;
