CREATE TABLE s (category BIGINT, final DOUBLE) WITH ({sink});

INSERT INTO s SELECT Q.category, AVG(Q.final) AS final FROM (SELECT MAX(B.price) AS final, A.category AS category
  FROM auction AS A JOIN bid AS B ON A.id = B.auction WHERE B."dateTime" BETWEEN A."dateTime" AND A.expires GROUP BY
  A.id, A.category) AS Q GROUP BY Q.category;
