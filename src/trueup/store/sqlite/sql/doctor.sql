-- SPDX-License-Identifier: Apache-2.0
-- What must hold in a journal, in SQLite's words.

-- name: integrity
-- SQLite's own look at the file, indexes included.
PRAGMA integrity_check(20);

-- name: quick
-- The same without the indexes.
PRAGMA quick_check(20);

-- name: chain
-- All decisions, loop by loop, in order.
SELECT loop, generation, digest, previous, at, kind, verdict, subject, body FROM decision ORDER BY loop, generation;

-- name: states
-- All states.
SELECT loop, generation, decision, body FROM state ORDER BY loop;

-- name: wrong_counters
-- Counters that differ from the rows of journal and catalogue together.
SELECT loop, kind, sum(said), sum(found) FROM (
    SELECT loop, kind, rows AS said, 0 AS found FROM counter
    UNION ALL SELECT loop, kind, 0, rows FROM segment
    UNION ALL SELECT loop, kind, 0, count(*) FROM event WHERE seq > (SELECT upto FROM sealed) GROUP BY loop, kind
) GROUP BY loop, kind HAVING sum(said) <> sum(found);

-- name: sealed_ids
-- Ids kept, rows sealed, and sealed rows that still stand in the journal.
SELECT (SELECT count(*) FROM sealed_id), (SELECT coalesce(sum(rows), 0) FROM segment),
    (SELECT count(*) FROM event WHERE seq <= (SELECT upto FROM sealed));

-- name: latest
-- The latest moment that the ledger knows of.
SELECT max(
    coalesce((SELECT max(at) FROM decision), 0), coalesce((SELECT max(at) FROM record), 0),
    coalesce((SELECT received FROM event ORDER BY seq DESC LIMIT 1), 0),
    coalesce((SELECT max(received_max) FROM segment), 0)
);

-- name: mentions
-- Every text in which an artifact may be named.
SELECT body FROM record WHERE body LIKE '%artifacts/%'
UNION ALL SELECT body FROM decision WHERE body LIKE '%artifacts/%';
