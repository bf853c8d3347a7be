SELECT b.auction, b.price, UPPER(i.name) AS name
FROM bid b JOIN item i ON b.auction = i.id AND b.price > i.seller
WHERE i.category = 10
