-- SPDX-License-Identifier: Apache-2.0

-- name: fit_rows
-- Rows fit for training whose first label came into the ledger after the cut $after.
SELECT count(*) AS n FROM (
    SELECT o.choice FROM event AS o
    JOIN event AS i ON i.loop = o.loop AND i.kind = 'interaction' AND i.id = o.choice
    WHERE o.loop = $loop AND o.kind = 'outcome' AND o.name = $target AND o.received <= $now AND i.keep
    GROUP BY o.choice HAVING min(o.seq) > $after
) AS known;

-- name: new_rows
-- The same where something has been trained: the few labels that came after $after, which no earlier
-- one precedes. It reads the rest of the past by its keys only.
SELECT count(*) AS n FROM (
    SELECT DISTINCT choice FROM event
    WHERE loop = $loop AND kind = 'outcome' AND name = $target AND received <= $now AND seq > $after
) AS known
JOIN event AS i ON i.loop = $loop AND i.kind = 'interaction' AND i.id = known.choice AND i.keep
WHERE NOT EXISTS (
    SELECT 1 FROM event AS e
    WHERE e.loop = $loop AND e.kind = 'outcome' AND e.name = $target AND e.received <= $now
      AND e.seq <= $after AND e.choice = known.choice
);

-- name: logged_rows
-- Rows fit for training once a teacher has written their target, logged after the cut $after.
SELECT count(*) AS n FROM event
WHERE loop = $loop AND kind = 'interaction' AND received <= $now AND keep AND error IS NULL
  AND input IS NOT NULL AND seq > $after;

-- name: outcome_values
-- The values of a numeric outcome of a candidate's served answers, as they were first told, in the
-- order in which the ledger learned of them: nothing that comes later changes what stands before it.
SELECT arg_min(o.value, o.seq) AS value, min(greatest(o.received, i.received)) AS known FROM event AS o
JOIN event AS i ON i.loop = o.loop AND i.kind = 'interaction' AND i.id = o.choice
WHERE o.loop = $loop AND o.kind = 'outcome' AND o.name = $name AND o.value IS NOT NULL
  AND o.received <= $now AND i.candidate IS NOT DISTINCT FROM $candidate AND i.ts > $since
GROUP BY o.choice ORDER BY min(greatest(o.seq, i.seq));

-- name: outcomes_served
-- What each request came to whose window has closed, whoever served it: what was told by then, else
-- what silence means; in the order in which that became known.
WITH asked AS (
    SELECT id, seq, ts + $within AS closed, greatest(ts + $within, received) AS known FROM event
    WHERE loop = $loop AND kind = 'interaction' AND ts > $since AND greatest(ts + $within, received) <= $now
), told AS (
    SELECT e.choice, arg_max(e.value, (e.received, e.seq)) AS value FROM event AS e
    JOIN asked ON asked.id = e.choice
    WHERE e.loop = $loop AND e.kind = 'outcome' AND e.name = $name AND e.value IS NOT NULL AND e.received <= asked.closed
    GROUP BY e.choice
)
SELECT coalesce(told.value, $absent::DOUBLE) AS value, asked.known FROM asked LEFT JOIN told ON told.choice = asked.id
WHERE coalesce(told.value, $absent::DOUBLE) IS NOT NULL ORDER BY asked.known, asked.seq;

-- name: failures
-- Whether each request was answered, whoever served it, in the order in which that became known.
SELECT CASE WHEN error IS NULL THEN 1.0::DOUBLE ELSE 0.0::DOUBLE END AS value, received AS known FROM event
WHERE loop = $loop AND kind = 'interaction' AND ts > $since AND received <= $now ORDER BY received, seq;

-- name: served_answers
-- A candidate's served answers beside the labels as they were first told, in the order in which the
-- ledger learned of them.
SELECT any_value(i.input) AS input, any_value(i.output) AS output,
       arg_min(o.output, o.seq) AS label, min(greatest(o.received, i.received)) AS known
FROM event AS o
JOIN event AS i ON i.loop = o.loop AND i.kind = 'interaction' AND i.id = o.choice
WHERE o.loop = $loop AND o.kind = 'outcome' AND o.name = $name AND o.received <= $now
  AND i.candidate IS NOT DISTINCT FROM $candidate AND i.ts > $since AND i.output IS NOT NULL
GROUP BY o.choice ORDER BY min(greatest(o.seq, i.seq));

-- name: signals
-- What the system said under a name.
SELECT extra, received FROM event
WHERE loop = $loop AND kind = 'signal' AND name = $name AND received > $since AND received <= $now
ORDER BY seq;

-- name: traffic
-- Units and labelled units of the last days that were logged: the traffic that a shadow can count on.
WITH seen AS (
    SELECT id, unit, ts FROM event WHERE loop = $loop AND kind = 'interaction' AND ts <= $now
), known AS (
    SELECT DISTINCT choice FROM event WHERE loop = $loop AND kind = 'outcome' AND name = $name
)
SELECT count(DISTINCT seen.unit) AS units,
       count(DISTINCT seen.unit) FILTER (WHERE known.choice IS NOT NULL) AS labelled
FROM seen LEFT JOIN known ON known.choice = seen.id
WHERE seen.ts > (SELECT max(ts) FROM seen) - $span;

-- name: newest_input
-- When the last input was logged.
SELECT max(ts) AS ts FROM event WHERE loop = $loop AND kind = 'interaction';

-- name: newest_inputs
-- The inputs of the newest logged requests.
SELECT input FROM event WHERE loop = $loop AND kind = 'interaction' AND input IS NOT NULL AND error IS NULL
ORDER BY seq DESC LIMIT $most;

-- name: outcomes_told
-- The names of outcomes that were told, and how often.
SELECT name, count(*) AS n FROM event WHERE loop = $loop AND kind = 'outcome' GROUP BY name ORDER BY name;

-- name: outcomes_outside
-- Values of a boolean or numeric outcome that are no number, or outside its bounds, and one of them.
SELECT count(*) AS n, min(output) AS one FROM event
WHERE loop = $loop AND kind = 'outcome' AND name = $name
  AND (value IS NULL OR value < $low OR value > $high OR ($whole AND value NOT IN (0, 1)));

-- name: unfit_logged
-- Requests of which a part was set aside when they were logged, the oldest first.
SELECT id, ts, extra FROM event
WHERE loop = $loop AND kind = 'interaction' AND extra LIKE '%"unfit"%' ORDER BY seq;

-- name: imports
-- The files that were imported.
SELECT extra FROM event WHERE loop = $loop AND kind = 'signal' AND name = 'import' ORDER BY seq;
