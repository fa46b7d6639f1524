-- Each payment as it was closed last. A payment may close several times, because a late refund opens it again.
WITH numbered AS (
    SELECT *, row_number() OVER (PARTITION BY payment_id ORDER BY version DESC, dt) AS position
    FROM final_forms
)
SELECT payment_id, version, user_id, track, status, amount, refund_amount, lost_amount, currency, closed_at
FROM numbered
WHERE position = 1
ORDER BY payment_id;
