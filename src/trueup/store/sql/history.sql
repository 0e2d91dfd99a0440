-- SPDX-License-Identifier: Apache-2.0
-- What history and journal are asked together, in DuckDB's words.

-- name: view
-- Sealed history and the journal's tail up to a cut, as one. {files}: a list of paths.
CREATE OR REPLACE TEMP VIEW event AS
SELECT {columns} FROM read_parquet({files}) WHERE seq <= {cut}
UNION ALL
SELECT {columns} FROM tail WHERE seq <= {cut};

-- name: view_of_tail
-- The same where nothing is sealed.
CREATE OR REPLACE TEMP VIEW event AS SELECT {columns} FROM tail WHERE seq <= {cut};

-- name: scan
-- Events of a loop and of some kinds within a stretch of time.
SELECT {columns} FROM event
WHERE loop = $loop AND kind IN ({kinds}) AND {by} >= $since AND {by} < $until;

-- name: asked
-- The interactions of a loop within a stretch of time.
SELECT seq, id AS choice, ts, received, unit, arm, candidate, propensity, generation, release, input,
    output, error, seconds, keep, TRY_CAST(json_extract_string(extra, '$.propensity') AS DOUBLE) AS shown
FROM event WHERE loop = $loop AND kind = 'interaction' AND {by} >= $since AND {by} < $until;

-- name: outcomes_of
-- For each of these interactions, in order: the latest value of an outcome by (received, seq), and
-- when it first and last became known. Narrow, so that the wide columns are never sorted.
WITH asked AS (
    SELECT seq, id FROM event
    WHERE loop = $loop AND kind = 'interaction' AND {by} >= $since AND {by} < $until
), known AS (
    SELECT choice, arg_max(row(output, value), row(received, seq)) AS latest, max(received) AS last,
        min(received) AS first
    FROM event
    WHERE loop = $loop AND kind = 'outcome' AND name = $name AND choice IN (SELECT id FROM asked)
    GROUP BY choice
)
SELECT asked.seq, latest[1] AS text, latest[2] AS value, last, first
FROM asked LEFT JOIN known ON known.choice = asked.id ORDER BY asked.seq;

-- name: tail
-- The journal's tail within this process: an empty Arrow table gives it its columns.
CREATE TABLE tail AS SELECT * FROM empty;

-- name: tail_grown
-- What the journal has gained since the last question, as an Arrow table.
INSERT INTO tail SELECT * FROM chunk;

-- name: give_back
-- Memory that no question holds goes back to the system, and the limit stays what it was.
RESET memory_limit;
