SELECT b.auction, a.item FROM bid b LEFT JOIN auction a ON b.auction = a.id WHERE a.category = 10
