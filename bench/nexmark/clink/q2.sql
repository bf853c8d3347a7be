CREATE TABLE s (auction BIGINT, price BIGINT) WITH ({sink});

INSERT INTO s SELECT auction,price FROM bid WHERE MOD(auction,123)=0;
