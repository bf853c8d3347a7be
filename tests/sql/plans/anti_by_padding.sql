SELECT b.auction FROM bid b FULL JOIN (SELECT id, COUNT(*) AS n FROM auction GROUP BY id) a ON b.auction = a.id WHERE a.id IS NULL AND b.price > 3
