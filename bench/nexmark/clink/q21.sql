CREATE TABLE s (auction BIGINT, bidder BIGINT, price BIGINT, channel VARCHAR, channel_id VARCHAR) WITH ({sink});

INSERT INTO s SELECT auction,bidder,price,channel, channel_id FROM (SELECT auction,bidder,price,channel, CASE WHEN
  LOWER(channel) = 'apple' THEN '0' WHEN LOWER(channel)='google' THEN '1' WHEN LOWER(channel)='facebook' THEN '2'
  WHEN LOWER(channel)='baidu' THEN '3' ELSE REGEXP_EXTRACT(url, '(&|^)channel_id=([^&]*)', 2) END AS channel_id FROM
  bid) AS X WHERE channel_id IS NOT NULL;
