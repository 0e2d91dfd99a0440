-- SPDX-License-Identifier: Apache-2.0

-- name: explored
-- The first request of each unit that an experiment drew, with the probability that it was drawn with,
-- and the outcome as it was first told. Units whose outcome has not come are left out.
WITH drawn AS (
    SELECT id, unit, arm, candidate, propensity, release, ts FROM event
    WHERE loop = $loop AND kind = 'assignment' AND ts > $since
    QUALIFY row_number() OVER (PARTITION BY release, unit ORDER BY seq) = 1
), told AS (
    SELECT choice, arg_min(value, seq) AS value FROM event
    WHERE loop = $loop AND kind = 'outcome' AND name = $name AND value IS NOT NULL GROUP BY choice
)
SELECT drawn.id, drawn.unit, drawn.arm, drawn.candidate, drawn.propensity, drawn.release, drawn.ts, i.input, i.output, told.value
FROM drawn JOIN told ON told.choice = drawn.id
JOIN event AS i ON i.loop = $loop AND i.kind = 'interaction' AND i.id = drawn.id
ORDER BY drawn.ts, drawn.id;

-- name: rate
-- The mean of an outcome of the champion's answers, as first told, with how many; and units a day of the last 30 days logged.
WITH told AS (
    SELECT o.choice, arg_min(o.value, o.seq) AS value FROM event AS o
    WHERE o.loop = $loop AND o.kind = 'outcome' AND o.name = $name AND o.value IS NOT NULL GROUP BY o.choice
), seen AS (
    SELECT id, unit, ts FROM event WHERE loop = $loop AND kind = 'interaction'
)
SELECT avg(told.value) AS mean, count(told.value) AS n, count(DISTINCT seen.unit) AS units
FROM seen LEFT JOIN told ON told.choice = seen.id
WHERE seen.ts > (SELECT max(ts) FROM seen) - $span;
