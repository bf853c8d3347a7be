CREATE TABLE s (id BIGINT, name VARCHAR, w BIGINT) WITH ({sink});

INSERT INTO s SELECT P.id AS id, P.name AS name, P.w AS w FROM (SELECT id, name, COUNT(*) AS n, window_start AS w
  FROM person GROUP BY TUMBLE("dateTime", INTERVAL '10' SECOND), id, name) AS P JOIN (SELECT seller, COUNT(*) AS m,
  window_start AS w FROM auction GROUP BY TUMBLE("dateTime", INTERVAL '10' SECOND), seller) AS A ON P.id = A.seller
  WHERE P.w BETWEEN A.w AND A.w;
