CREATE TABLE bid (auction BIGINT, bidder BIGINT, price BIGINT, url STRING, dt TIMESTAMP(3), cents AS price * 100,
  WATERMARK FOR dt AS dt - INTERVAL '4' SECOND) WITH ('connector' = 'datagen');
CREATE TABLE auction (id BIGINT, seller BIGINT, category INT, item STRING) WITH ('connector' = 'datagen');
CREATE VIEW cheap AS SELECT auction, price, dt FROM bid WHERE price < 10;
CREATE TABLE item (id BIGINT, seller BIGINT, category INT, name STRING, PRIMARY KEY (id) NOT ENFORCED)
  WITH ('connector' = 'datagen');
