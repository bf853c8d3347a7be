SELECT auction, cents + 1 * 2 AS x FROM bid WHERE MOD(auction, 123) = 0 AND 1 = 1
