WITH counts AS (
  SELECT auction, time_bucket(INTERVAL 2 SECOND, dateTime) - i * INTERVAL 2 SECOND AS start, count(*) AS num
  FROM {bid}, range(5) AS t(i)
  GROUP BY ALL
)
SELECT auction, num
FROM counts JOIN (SELECT start, max(num) AS most FROM counts GROUP BY start) USING (start)
WHERE num >= most
