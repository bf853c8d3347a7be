-- Factory: live sensors, from the wire to the screen.
-- Post readings to /ingest/readings, one JSON object, an array or a line each:
--   {"sensor": "machine-temperature", "value": 73.9, "ts": "2026-01-31T08:15:00.250Z"}

CREATE TABLE readings (
  sensor      STRING NOT NULL COMMENT 'name of the sensor',
  `value`     DOUBLE COMMENT 'in the sensor''s own unit',
  ts          TIMESTAMP_LTZ(3) NOT NULL COMMENT 'when it was measured',
  recorded_at TIMESTAMP(3) COMMENT 'replayed data only: the time in the original recording',
  WATERMARK FOR ts AS ts - INTERVAL '2' SECOND
) WITH (
  'connector' = 'http',
  'format' = 'json',
  'json.timestamp-format.standard' = 'ISO-8601'
);

-- What is normal is learned per sensor while the rows go by. RISK: how seldom a value must be to raise an alarm.
CREATE VIEW judged AS
SELECT * FROM TABLE(DETECT_ANOMALIES(
  DATA     => TABLE readings PARTITION BY sensor,
  TIMECOL  => DESCRIPTOR(ts),
  VALUECOL => DESCRIPTOR(`value`),
  RISK     => 0.001
));

CREATE MATERIALIZED VIEW live
COMMENT 'every reading with what was expected of it'
AS SELECT sensor, ts, `value`, expected, lower_bound, upper_bound, score, is_anomaly, recorded_at
FROM judged;

CREATE MATERIALIZED VIEW statistics_10s
COMMENT 'each sensor in windows of ten seconds'
AS SELECT
  sensor, window_start, window_end,
  COUNT(*) AS readings, AVG(`value`) AS mean, MIN(`value`) AS lowest, MAX(`value`) AS highest
FROM TUMBLE(TABLE readings, DESCRIPTOR(ts), INTERVAL '10' SECOND)
GROUP BY sensor, window_start, window_end;

CREATE MATERIALIZED VIEW alerts
COMMENT 'readings far outside of what was expected'
AS SELECT
  ts, sensor,
  CASE WHEN score >= 5 THEN 'critical' WHEN score >= 3.5 THEN 'warning' ELSE 'notice' END AS severity,
  `value`, expected, lower_bound, upper_bound, score, recorded_at
FROM judged
WHERE is_anomaly;

CREATE MATERIALIZED VIEW sensors
COMMENT 'one row a sensor, kept up to date'
AS SELECT
  sensor, COUNT(*) AS readings, COUNT(*) FILTER (WHERE is_anomaly) AS anomalies, MAX(ts) AS last_seen
FROM judged
GROUP BY sensor;
