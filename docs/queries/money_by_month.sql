-- The money that was received, refunded and lost to disputes by month (UTC) and currency, in minor units.
WITH each_record AS (
    SELECT DISTINCT
        subject,
        seq,
        substr("at", 1, 7) AS month,
        json_extract_scalar(transition, '$.currency') AS currency,
        CAST(json_extract_scalar(transition, '$.settled') AS BIGINT) AS settled,
        CAST(json_extract_scalar(transition, '$.refunded') AS BIGINT) AS refunded,
        CAST(json_extract_scalar(transition, '$.lost') AS BIGINT) AS lost
    FROM records
)
SELECT
    month,
    currency,
    coalesce(sum(settled), 0) AS settled,
    coalesce(sum(refunded), 0) AS refunded,
    coalesce(sum(lost), 0) AS lost
FROM each_record
WHERE settled IS NOT NULL OR refunded IS NOT NULL OR lost IS NOT NULL
GROUP BY month, currency
ORDER BY month, currency;
