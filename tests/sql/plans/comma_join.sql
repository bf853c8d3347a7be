SELECT b.auction, a.item FROM bid b, auction a WHERE b.auction = a.id AND a.category = 10 AND b.price > a.seller
