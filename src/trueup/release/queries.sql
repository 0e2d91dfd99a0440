-- name: last_answers
-- The last inputs that a candidate answered as champion, newest first; labels unread.
SELECT input, output FROM event
WHERE loop = $loop AND kind = 'interaction' AND arm = 'champion' AND candidate = $candidate
  AND output IS NOT NULL
ORDER BY seq DESC LIMIT $last;

-- name: unanswered
-- Every unit's first fresh input that $candidate has not answered yet, in the order of arrival.
SELECT choice, any_value(input) AS input, any_value(unit) AS unit FROM (
    SELECT id AS choice, input, unit, seq FROM event
    WHERE loop = $loop AND kind = 'interaction' AND arm = 'champion' AND candidate = $champion
      AND ts > $since AND received > $since AND unit IS NOT NULL
    QUALIFY row_number() OVER (PARTITION BY unit ORDER BY seq) = 1
) AS first
WHERE NOT EXISTS (
    SELECT 1 FROM event AS a
    WHERE a.loop = $loop AND a.kind = 'answer' AND a.choice = first.choice
      AND a.candidate = $candidate
)
GROUP BY choice ORDER BY any_value(seq);

-- name: shadow_rows
-- The complete units of a shadow in the order of their exposure: the champion's answer, the
-- challenger's and the anchor's, and the label that was known when the unit's window closed.
WITH first AS (
    SELECT id AS choice, unit, ts, seq, input, output, error FROM event
    WHERE loop = $loop AND kind = 'interaction' AND arm = 'champion' AND candidate = $champion
      AND ts > $since AND received > $since AND unit IS NOT NULL
    QUALIFY row_number() OVER (PARTITION BY unit ORDER BY seq) = 1
), label AS (
    SELECT e.choice, arg_max(e.output, (e.received, e.seq)) AS label
    FROM event AS e JOIN first ON first.choice = e.choice
    WHERE e.loop = $loop AND e.kind = 'outcome' AND e.name = $label
      AND e.received <= first.ts + $within
    GROUP BY e.choice
), given AS (
    SELECT choice, candidate, any_value(output) AS output, any_value(error) AS error FROM event
    WHERE loop = $loop AND kind = 'answer' AND candidate IN ($candidate, $anchor)
    GROUP BY choice, candidate
)
SELECT first.choice, first.unit, first.ts, first.input, first.output, first.error, label.label,
       new.choice IS NOT NULL AS asked, new.output AS new, old.choice IS NOT NULL AS asked_anchor,
       old.output AS anchor
FROM first
LEFT JOIN label ON label.choice = first.choice
LEFT JOIN given AS new ON new.choice = first.choice AND new.candidate = $candidate
LEFT JOIN given AS old ON old.choice = first.choice AND old.candidate = $anchor
WHERE first.ts + $within <= $now
ORDER BY first.ts, first.seq;

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
-- fate, and the share of its requests within the window that failed.
WITH asked AS (
    SELECT id, unit, arm, propensity, ts, seq FROM event
    WHERE loop = $loop AND kind = 'assignment' AND release = $release
), request AS (
    SELECT asked.*, first_value(asked.ts) OVER w AS first_ts, row_number() OVER w AS nth,
           i.error IS NOT NULL OR i.received IS NULL OR i.received > asked.ts + $lag AS failed,
           i.error IS NOT NULL AND i.received > asked.ts + $lag AS late, i.seconds
    FROM asked
    LEFT JOIN event AS i ON i.loop = $loop AND i.kind = 'interaction' AND i.id = asked.id
    WINDOW w AS (PARTITION BY asked.unit ORDER BY asked.seq)
)
SELECT any_value(unit) AS unit,
       arg_min(arm, nth) AS arm, arg_min(propensity, nth) AS pi, count(DISTINCT arm) AS arms,
       min(first_ts) AS ts, min(seq) AS seq,
       bool_or(failed) FILTER (WHERE nth = 1) AS failed,
       arg_min(seconds, nth) FILTER (WHERE nth = 1) AS seconds,
       count(*) FILTER (WHERE late) AS late,
       count(*) FILTER (WHERE ts <= first_ts + $window) AS requests,
       avg(CASE WHEN failed THEN 1.0 ELSE 0.0 END) FILTER (WHERE ts <= first_ts + $window) AS burden
FROM request GROUP BY unit HAVING min(first_ts) + $lag <= $now ORDER BY min(first_ts), min(seq);

-- name: exposures_lost
-- Signals that assignments could not be recorded.
SELECT count(*) AS n FROM event
WHERE loop = $loop AND kind = 'signal' AND name = 'exposures_lost' AND received >= $since;
