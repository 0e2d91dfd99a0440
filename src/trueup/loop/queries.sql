-- SPDX-License-Identifier: Apache-2.0

-- name: fit_rows
-- Rows fit for training whose label became known after $since: kept, answered or not, labelled.
SELECT count(*) AS n FROM (
    SELECT o.choice FROM event AS o
    JOIN event AS i ON i.loop = o.loop AND i.kind = 'interaction' AND i.id = o.choice
    WHERE o.loop = $loop AND o.kind = 'outcome' AND o.name = $target AND o.received <= $now AND i.keep
    GROUP BY o.choice HAVING min(o.received) > $since
) AS known;

-- name: outcome_values
-- The values of a numeric outcome of a candidate's served answers, by the time they became known.
SELECT arg_max(o.value, (o.received, o.seq)) AS value, min(o.received) AS known FROM event AS o
JOIN event AS i ON i.loop = o.loop AND i.kind = 'interaction' AND i.id = o.choice
WHERE o.loop = $loop AND o.kind = 'outcome' AND o.name = $name AND o.value IS NOT NULL
  AND o.received <= $now AND i.candidate = $candidate AND i.ts > $since
GROUP BY o.choice ORDER BY known, min(o.seq);

-- name: served_answers
-- A candidate's served answers beside the labels that have arrived, by the time they became known.
SELECT any_value(i.input) AS input, any_value(i.output) AS output,
       arg_max(o.output, (o.received, o.seq)) AS label, min(o.received) AS known
FROM event AS o
JOIN event AS i ON i.loop = o.loop AND i.kind = 'interaction' AND i.id = o.choice
WHERE o.loop = $loop AND o.kind = 'outcome' AND o.name = $name AND o.received <= $now
  AND i.candidate = $candidate AND i.ts > $since AND i.output IS NOT NULL
GROUP BY o.choice ORDER BY known, min(o.seq);

-- name: signals
-- What the system said under a name.
SELECT extra, received FROM event
WHERE loop = $loop AND kind = 'signal' AND name = $name AND received > $since AND received <= $now
ORDER BY seq;

-- name: traffic
-- Units, labelled units and days of the last $days days: the traffic that a shadow can count on.
SELECT count(DISTINCT i.unit) AS units, count(DISTINCT i.unit) FILTER (WHERE o.choice IS NOT NULL) AS labelled
FROM event AS i
LEFT JOIN (SELECT DISTINCT choice FROM event WHERE loop = $loop AND kind = 'outcome' AND name = $name) AS o
  ON o.choice = i.id
WHERE i.loop = $loop AND i.kind = 'interaction' AND i.ts > $since AND i.ts <= $now;
