-- The subjects whose records have a gap: a position below the newest archived one is not in the archive.
SELECT subject, max(seq) AS newest, count(DISTINCT seq) AS archived
FROM records
GROUP BY subject
HAVING max(seq) <> count(DISTINCT seq) OR min(seq) <> 1
ORDER BY subject;
