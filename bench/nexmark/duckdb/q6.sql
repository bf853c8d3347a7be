WITH won AS (
  SELECT seller, price, dateTime
  FROM (
    SELECT A.seller, B.price, B.dateTime,
      row_number() OVER (PARTITION BY A.id, A.seller ORDER BY B.price DESC, B.place) AS rownum
    FROM {auction} A JOIN (SELECT *, row_number() OVER () AS place FROM {bid}) B
      ON A.id = B.auction AND B.dateTime BETWEEN A.dateTime AND A.expires
  )
  WHERE rownum <= 1
)
SELECT seller, CAST(sum(price) OVER last // count(*) OVER last AS BIGINT)
FROM won
WINDOW last AS (PARTITION BY seller ORDER BY dateTime ROWS BETWEEN 10 PRECEDING AND CURRENT ROW)
