-- SPDX-License-Identifier: Apache-2.0

-- name: last_answers
-- The last inputs that a candidate answered as champion, newest first; labels unread.
SELECT input, output FROM event
WHERE loop = $loop AND kind = 'interaction' AND arm = 'champion' AND candidate = $candidate
  AND output IS NOT NULL
ORDER BY seq DESC LIMIT $last;

-- name: shadow_rows
-- The first $most labelled units of a shadow that are complete, in the order of their exposure:
-- the champion's answer, the label that was known when the unit's window closed, and what the
-- challenger and the anchor answered. Beside each row (one without a choice where there is none)
-- stands how many units are complete, and how many of them labelled. A unit's first request
-- stands for it; one that was told after its window had closed is left out. Beside the label stands
-- what people said by then where they audit it, and whether the unit was there before the shadow.
WITH first AS (
    SELECT id AS choice, unit, ts, received, seq FROM event
    WHERE loop = $loop AND kind = 'interaction' AND arm = 'champion' AND candidate = $champion
      AND ts > $since AND received > $since AND unit IS NOT NULL
    QUALIFY row_number() OVER (PARTITION BY unit ORDER BY seq) = 1
), complete AS (
    SELECT choice, ts, seq FROM first WHERE ts + $within <= $now AND received <= ts + $within
), label AS (
    SELECT e.choice, arg_max(e.output, (e.received, e.seq)) AS label
    FROM event AS e JOIN complete ON complete.choice = e.choice
    WHERE e.loop = $loop AND e.kind = 'outcome' AND e.name = $label
      AND e.received <= complete.ts + $within
    GROUP BY e.choice
), truth AS (
    SELECT e.choice, arg_max(e.output, (e.received, e.seq)) AS truth
    FROM event AS e JOIN complete ON complete.choice = e.choice
    WHERE e.loop = $loop AND e.kind = 'outcome' AND e.name = $audit
      AND e.received <= complete.ts + $within
    GROUP BY e.choice
), known AS (
    SELECT DISTINCT unit FROM event
    WHERE loop = $loop AND kind = 'interaction' AND received <= $since AND unit IS NOT NULL
), pair AS (
    SELECT choice, complete.ts, complete.seq, label.label
    FROM complete JOIN label USING (choice) ORDER BY complete.ts, complete.seq LIMIT $most
), given AS (
    SELECT choice, candidate, any_value(output) AS output FROM event
    WHERE loop = $loop AND kind = 'answer' AND candidate IN ($candidate, $anchor)
      AND choice IN (SELECT choice FROM pair)
    GROUP BY choice, candidate
)
SELECT counts.units, counts.labelled, pair.choice, i.unit, i.input, i.output, pair.label, truth.truth,
       known.unit IS NOT NULL AS known,
       new.choice IS NOT NULL AS asked, new.output AS new,
       old.choice IS NOT NULL AS asked_anchor, old.output AS anchor
FROM (SELECT (SELECT count(*) FROM complete) AS units, (SELECT count(*) FROM label) AS labelled) AS counts
LEFT JOIN pair ON true
LEFT JOIN event AS i ON i.loop = $loop AND i.kind = 'interaction' AND i.id = pair.choice
LEFT JOIN truth ON truth.choice = pair.choice
LEFT JOIN known ON known.unit = i.unit
LEFT JOIN given AS new ON new.choice = pair.choice AND new.candidate = $candidate
LEFT JOIN given AS old ON old.choice = pair.choice AND old.candidate = $anchor
ORDER BY pair.ts, pair.seq;

-- name: audits_open
-- The first requests of a shadow's units whose window is open, and that no person has labelled.
WITH first AS (
    SELECT id AS choice, unit, input, ts, received, seq FROM event
    WHERE loop = $loop AND kind = 'interaction' AND arm = 'champion' AND candidate = $champion
      AND ts > $since AND received > $since AND unit IS NOT NULL
    QUALIFY row_number() OVER (PARTITION BY unit ORDER BY seq) = 1
)
SELECT choice, unit, input, ts FROM first
WHERE ts + $within > $now AND NOT EXISTS (
    SELECT 1 FROM event AS e WHERE e.loop = $loop AND e.kind = 'outcome' AND e.name = $audit AND e.choice = first.choice
) ORDER BY ts, seq;

-- name: slowest
-- The 95th percentile of a candidate's seconds over its last requests.
SELECT quantile_cont(seconds, 0.95) AS p95 FROM (
    SELECT seconds FROM event
    WHERE loop = $loop AND kind = 'interaction' AND candidate = $candidate
      AND seconds IS NOT NULL AND error IS NULL
    ORDER BY seq DESC LIMIT $last
);

-- name: canary_rows
-- The matured units of a canary in the order of their exposure, each with its first request's
-- fate, and the share of its requests within the window that failed. What is told of a request
-- after the lag comes too late to count.
WITH asked AS (
    SELECT id, unit, arm, propensity, ts, seq, extra FROM event
    WHERE loop = $loop AND kind = 'assignment' AND release = $release
      AND coalesce(json_extract_string(extra, '$.override'), '') <> 'true'
), request AS (
    SELECT asked.*, first_value(asked.ts) OVER w AS first_ts, row_number() OVER w AS nth,
           i.error IS NOT NULL OR i.received IS NULL OR i.received > asked.ts + $lag AS failed,
           i.error IS NOT NULL AND i.received > asked.ts + $lag AS late,
           CASE WHEN i.received <= asked.ts + $lag THEN i.seconds END AS seconds
    FROM asked
    LEFT JOIN event AS i ON i.loop = $loop AND i.kind = 'interaction' AND i.id = asked.id
    WINDOW w AS (PARTITION BY asked.unit ORDER BY asked.seq)
)
SELECT any_value(unit) AS unit, count(DISTINCT arm) AS arms,
       max(arm) FILTER (WHERE nth = 1) AS arm, max(propensity) FILTER (WHERE nth = 1) AS pi,
       max(json_extract_string(extra, '$.probabilities.champion')) FILTER (WHERE nth = 1) AS kept,
       min(first_ts) AS ts,
       bool_or(failed) FILTER (WHERE nth = 1) AS failed,
       max(seconds) FILTER (WHERE nth = 1) AS seconds,
       count(*) FILTER (WHERE late) AS late,
       count(*) FILTER (WHERE request.ts <= first_ts + $window) AS requests,
       avg(CASE WHEN failed THEN 1.0 ELSE 0.0 END) FILTER (WHERE request.ts <= first_ts + $window) AS burden
FROM request GROUP BY unit HAVING min(first_ts) + $lag <= $now ORDER BY min(first_ts), min(seq);

-- name: exposures_lost
-- Signals that assignments of a release could not be recorded.
SELECT count(*) AS n FROM event
WHERE loop = $loop AND kind = 'signal' AND name = 'exposures_lost' AND release = $release;

-- name: past_outcomes
-- The champion's recent requests and how many of them were told an outcome, with its sum.
WITH asked AS (
    SELECT id, unit, ts FROM event
    WHERE loop = $loop AND kind = 'interaction' AND candidate = $candidate AND ts > $since AND received <= $now
), told AS (
    SELECT choice, arg_max(value, (received, seq)) AS value FROM event
    WHERE loop = $loop AND kind = 'outcome' AND name = $name AND received <= $now GROUP BY choice
)
SELECT count(*) AS requests, count(DISTINCT unit) AS units, min(ts) AS first,
       count(told.value) AS told, coalesce(sum(told.value), 0.0) AS total
FROM asked LEFT JOIN told ON told.choice = asked.id;

-- name: experiment_units
-- The units of an experiment in the order of their exposure, each with its first assignment, the
-- number of arms it was seen in (in all, and by one state of the routing), and whether it was known
-- before the experiment began. Overrides are left out.
WITH asked AS (
    SELECT id, unit, arm, propensity, generation, ts, seq, extra FROM event
    WHERE loop = $loop AND kind = 'assignment' AND release = $release
      AND coalesce(json_extract_string(extra, '$.override'), '') <> 'true'
), known AS (
    SELECT DISTINCT unit FROM event
    WHERE loop = $loop AND kind = 'interaction' AND received <= $since AND unit IS NOT NULL
), worst AS (
    SELECT unit, max(arms) AS arms_at_once FROM (
        SELECT unit, generation, count(DISTINCT arm) AS arms FROM asked GROUP BY unit, generation
    ) GROUP BY unit
)
SELECT asked.unit, arg_min(asked.arm, asked.seq) AS arm, arg_min(asked.propensity, asked.seq) AS pi,
       bool_or(asked.propensity IS NULL) AS unsaid, arg_min(asked.extra, asked.seq) AS extra,
       min(asked.ts) AS ts, count(DISTINCT asked.arm) AS arms, any_value(worst.arms_at_once) AS arms_at_once,
       any_value(known.unit) IS NOT NULL AS known
FROM asked JOIN worst USING (unit) LEFT JOIN known USING (unit)
GROUP BY asked.unit ORDER BY min(asked.ts), min(asked.seq);

-- name: experiment_outcomes
-- How each matured unit of an experiment went: its requests within the window after its exposure,
-- those that were told an outcome by its end, the sum of what was told, and its extremes. What is
-- told later counts for nothing. With $first only the unit's first request counts.
WITH asked AS (
    SELECT id, unit, ts, seq, min(ts) OVER (PARTITION BY unit) AS first_ts FROM event
    WHERE loop = $loop AND kind = 'assignment' AND release = $release
      AND coalesce(json_extract_string(extra, '$.override'), '') <> 'true'
), counted AS (
    SELECT id, unit, first_ts, row_number() OVER (PARTITION BY unit ORDER BY seq) AS nth FROM asked
    WHERE ts <= first_ts + $within AND first_ts + $within <= $now
), told AS (
    SELECT counted.id, arg_max(e.value, (e.received, e.seq)) AS value,
           arg_max(e.value IS NULL, (e.received, e.seq)) AS strange
    FROM counted JOIN event AS e ON e.loop = $loop AND e.kind = 'outcome' AND e.name = $name AND e.choice = counted.id
    WHERE e.received <= counted.first_ts + $within GROUP BY counted.id
)
SELECT counted.unit, count(*) AS requests, count(told.value) AS told, coalesce(sum(told.value), 0.0) AS total,
       min(told.value) AS lowest, max(told.value) AS highest, coalesce(bool_or(told.strange), false) AS strange
FROM counted LEFT JOIN told USING (id)
WHERE NOT $first OR counted.nth = 1
GROUP BY counted.unit;

-- name: interleaved_sessions
-- The first session of each matured unit of an interleaving, in the order of exposure: the list that
-- was logged for it, and the items that were clicked, both known by the end of its window. Beside
-- each row stands how many units were assigned.
WITH asked AS (
    SELECT id, unit, ts, seq FROM event
    WHERE loop = $loop AND kind = 'assignment' AND release = $release
      AND coalesce(json_extract_string(extra, '$.override'), '') <> 'true'
    QUALIFY row_number() OVER (PARTITION BY unit ORDER BY seq) = 1
), counted AS (SELECT count(*) AS units FROM asked), clicked AS (
    SELECT asked.id, list(DISTINCT e.output ORDER BY e.output) AS clicked
    FROM asked JOIN event AS e ON e.loop = $loop AND e.kind = 'outcome' AND e.name = $name AND e.choice = asked.id
    WHERE e.received <= asked.ts + $within GROUP BY asked.id
)
SELECT asked.unit, i.output, clicked.clicked, counted.units
FROM asked CROSS JOIN counted
LEFT JOIN event AS i ON i.loop = $loop AND i.kind = 'interaction' AND i.id = asked.id AND i.error IS NULL
    AND i.received <= asked.ts + $within
LEFT JOIN clicked ON clicked.id = asked.id
WHERE asked.ts + $within <= $now ORDER BY asked.ts, asked.seq;
