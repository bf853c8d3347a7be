SELECT * FROM (SELECT auction, SUM(price) AS s FROM bid GROUP BY auction) WHERE auction > 5 AND s > 10
