-- SPDX-License-Identifier: Apache-2.0

-- name: taught
-- The first answer of a teacher to each request, whatever the cut: it is asked once.
SELECT choice, arg_min(output, seq) AS output FROM event
WHERE loop = $loop AND kind = 'answer' AND candidate = $teacher AND output IS NOT NULL
GROUP BY choice;

-- name: first_asked
-- When each unit asked something for the first time.
SELECT unit, min(ts) AS ts FROM event
WHERE loop = $loop AND kind = 'interaction' AND unit IS NOT NULL GROUP BY unit;
