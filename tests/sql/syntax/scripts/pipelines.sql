-- Pipelines in the style that people write.
SET 'pipeline.name' = 'server logs';
CREATE TABLE server_logs (
  client_ip STRING,
  userid STRING,
  log_time TIMESTAMP_LTZ(3),
  request_line STRING,
  status_code STRING,
  `size` INT,
  WATERMARK FOR log_time AS log_time - INTERVAL '30' SECONDS
) WITH (
  'connector' = 'faker',
  'fields.client_ip.expression' = '#{Internet.publicIpV4Address}',
  'fields.log_time.expression' = '#{date.past ''15'',''5'',''SECONDS''}',
  'fields.request_line.expression' = '#{regexify ''(GET|POST){1} (/search|/login){1}''}',
  'fields.size.expression' = '#{number.numberBetween ''100'',''10000000''}'
);
CREATE TEMPORARY VIEW successful_requests AS
SELECT * FROM server_logs WHERE status_code SIMILAR TO '[2,3][0-9][0-9]';
CREATE TABLE client_errors (
  log_time TIMESTAMP(3), browser STRING, WATERMARK FOR log_time AS log_time - INTERVAL '30' SECONDS
) WITH ('connector' = 'blackhole') LIKE server_logs (EXCLUDING OPTIONS EXCLUDING WATERMARKS);
BEGIN STATEMENT SET;
INSERT INTO realtime_aggregations
SELECT browser, status_code, TUMBLE_END(log_time, INTERVAL '5' MINUTE) AS end_time, COUNT(*) requests
FROM server_logs
GROUP BY browser, status_code, TUMBLE(log_time, INTERVAL '5' MINUTE);
INSERT INTO offline_datawarehouse
SELECT browser, status_code, DATE_FORMAT(TUMBLE_ROWTIME(log_time, INTERVAL '1' HOUR), 'yyyy-MM-dd') AS `dt`, COUNT(*)
FROM server_logs
GROUP BY browser, status_code, TUMBLE(log_time, INTERVAL '1' HOUR);
END;
SELECT
  TUMBLE_ROWTIME(order_time, INTERVAL '1' MINUTE) AS window_ts, COUNT(DISTINCT client_ip) AS ips
FROM server_logs GROUP BY TUMBLE(order_time, INTERVAL '1' MINUTE);
SELECT * FROM (
  SELECT window_start, window_end, supplier_id, SUM(price) AS price, COUNT(*) AS cnt,
    ROW_NUMBER() OVER (PARTITION BY window_start, window_end ORDER BY SUM(price) DESC) AS rownum
  FROM TABLE(TUMBLE(TABLE orders, DESCRIPTOR(bidtime), INTERVAL '10' MINUTES))
  GROUP BY window_start, window_end, supplier_id
) WHERE rownum <= 3;
SELECT t.id, EXTRACT(DAY FROM t.ts) AS d, p.currency, t.total * c.eur_rate AS total_eur
FROM transactions t
JOIN currency_rates FOR SYSTEM_TIME AS OF t.trx_timestamp AS c ON t.currency_code = c.currency_code
LEFT JOIN people AS p ON p.id = t.id AND t.ts BETWEEN p.ts - INTERVAL '4' HOUR AND p.ts + INTERVAL '1' HOUR;
SELECT s.device, AVG(s.temp) OVER last_minute AS avg_temp, s.temp - LAG(s.temp) OVER (PARTITION BY s.device ORDER BY s.ts) AS step
FROM sensors AS s
WINDOW last_minute AS (PARTITION BY s.device ORDER BY s.ts RANGE BETWEEN INTERVAL '1' MINUTE PRECEDING AND CURRENT ROW);
SELECT *
FROM subscriptions
MATCH_RECOGNIZE (
  PARTITION BY user_id ORDER BY proc_time
  MEASURES LAST(PREMIUM.type) AS premium_type, AVG(TIMESTAMPDIFF(DAY, PREMIUM.start_date, PREMIUM.end_date)) AS premium_avg_duration,
    BASIC.start_date AS downgrade_date
  AFTER MATCH SKIP PAST LAST ROW
  PATTERN (PREMIUM+ BASIC)
  DEFINE PREMIUM AS PREMIUM.type IN ('premium', 'platinum'), BASIC AS BASIC.type = 'basic'
);
SELECT state, city, id FROM (SELECT DISTINCT state FROM people) States,
  LATERAL (SELECT city, id, ROW_NUMBER() OVER (ORDER BY population DESC) AS rn FROM cities WHERE cities.state = States.state LIMIT 2);
SELECT tagged.id, tag FROM tagged CROSS JOIN UNNEST(SPLIT(tags, ',')) AS t (tag), LATERAL TABLE(tokenize(tagged.txt)) AS w;
CREATE FUNCTION to_fahr AS 'udfs.to_fahr' LANGUAGE PYTHON;
CREATE MATERIALIZED VIEW machine_state PRIMARY KEY (machine) NOT ENFORCED AS
SELECT machine, COUNT(*) AS readings, MAX(to_fahr(temp)) AS top, LAST_VALUE(ts) AS seen FROM sensors GROUP BY machine;
INSERT INTO alerts SELECT machine, JSON_VALUE(payload, '$.error.code' RETURNING INTEGER NULL ON ERROR) AS code
FROM events /*+ OPTIONS('scan.startup.mode' = 'latest-offset') */
WHERE payload IS JSON OBJECT AND severity >= 3 AND machine NOT IN (SELECT machine FROM muted);
