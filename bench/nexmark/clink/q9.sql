CREATE TABLE s (id BIGINT, auction BIGINT, bidder BIGINT, price BIGINT, bt BIGINT) WITH ({sink});

INSERT INTO s SELECT id, auction, bidder, price, bt FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY id ORDER BY
  price DESC, bt ASC) AS rn FROM (SELECT A.id AS id, B.auction AS auction, B.bidder AS bidder, B.price AS price,
  B."dateTime" AS bt FROM auction AS A JOIN bid AS B ON A.id = B.auction WHERE B."dateTime" BETWEEN A."dateTime" AND
  A.expires) AS J) AS R WHERE rn <= 1;
