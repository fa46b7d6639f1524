-- Positions with two different records: a record was put over another one, or forged. A record twice is none.
SELECT subject, seq, count(DISTINCT hash) AS different
FROM records
GROUP BY subject, seq
HAVING count(DISTINCT hash) > 1
ORDER BY subject, seq;
