WITH marked AS (
  SELECT bidder, dateTime, coalesce(dateTime - lag(dateTime) OVER ordered > INTERVAL 10 SECOND, true) AS first
  FROM {bid}
  WINDOW ordered AS (PARTITION BY bidder ORDER BY dateTime)
), numbered AS (
  SELECT bidder, dateTime, count(*) FILTER (WHERE first) OVER ordered AS session
  FROM marked
  WINDOW ordered AS (PARTITION BY bidder ORDER BY dateTime)
)
SELECT bidder, count(*), min(dateTime), max(dateTime) + INTERVAL 10 SECOND FROM numbered GROUP BY bidder, session
