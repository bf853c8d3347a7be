SELECT b.auction, a.item FROM bid b LEFT JOIN auction a ON b.auction = a.id AND a.category = 10 AND b.price > 5 WHERE b.price < 100
