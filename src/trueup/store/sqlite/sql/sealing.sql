-- SPDX-License-Identifier: Apache-2.0
-- From the journal to Arrow and to history, in SQLite's words. `copy` is an attached scratch file.

-- name: watermark
-- Events up to it are read from segments.
SELECT upto FROM sealed;

-- name: segments_after
-- The catalogue in the order of sealing, from what was added since its n-th row.
SELECT sha256, loop, kind, rows, bytes, seq_min, seq_max, ts_min, ts_max, received_min, received_max, n
FROM segment WHERE n > ? ORDER BY n;

-- name: copy_rows
-- Rows of the journal into the scratch file. The first row is made up: the driver that reads the
-- file takes a column's type from the first rows, and a column may begin with many nulls.
CREATE TABLE copy.rows AS
SELECT -1 AS seq, '' AS id, '' AS loop, '' AS kind, 0 AS ts, 0 AS received, '' AS unit, '' AS choice,
    '' AS arm, '' AS candidate, 0.5 AS propensity, 0 AS generation, '' AS release, '' AS name,
    0.5 AS value, '' AS key, '' AS input, '' AS output, '' AS error, 0.5 AS seconds, 0 AS keep,
    '' AS extra
UNION ALL
SELECT * FROM (
    SELECT seq, id, loop, kind, ts, received, unit, choice, arm, candidate, propensity, generation,
        release, name, value, key, input, output, error, seconds, keep, extra
    FROM main.event WHERE seq > :after AND seq <= :upto ORDER BY seq LIMIT :rows
);

-- name: read_copy
-- The scratch file's rows, in order.
SELECT * FROM rows ORDER BY rowid;

-- name: mean_bytes
-- What a row of the journal weighs, about: pages by rows.
SELECT page_count * page_size / (
    1 + (SELECT coalesce(max(seq), 0) FROM event) - (SELECT coalesce(min(seq), 0) FROM event)
) FROM pragma_page_count(), pragma_page_size();

-- name: first_received_from
-- The first row after a seq that was received at a moment or later.
SELECT min(seq) FROM event WHERE seq > ? AND received >= ?;

-- name: add_segment
-- Enter a sealed file into the catalogue.
INSERT INTO segment (
    sha256, loop, kind, rows, bytes, seq_min, seq_max, ts_min, ts_max, received_min, received_max,
    sealed_at
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: move_watermark
-- From here on, rows up to it are read from segments.
UPDATE sealed SET upto = :upto WHERE upto = :before;

-- name: rows_to_leave
-- Sealed rows that still stand in the journal; the row with the greatest seq stays for good.
SELECT seq, id, kind FROM event
WHERE seq <= (SELECT upto FROM sealed) AND seq < (SELECT max(seq) FROM event)
ORDER BY seq LIMIT ?;

-- name: keep_id
-- Remember the id of a row that leaves the journal.
INSERT OR IGNORE INTO sealed_id (key) VALUES (?);

-- name: delete_upto
-- Delete rows that are sealed and whose ids are kept.
DELETE FROM event WHERE seq <= ?;
