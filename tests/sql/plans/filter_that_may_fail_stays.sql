SELECT a.item FROM bid b JOIN auction a ON b.auction = a.id WHERE 10 / a.category > 1
