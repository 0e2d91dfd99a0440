-- SPDX-License-Identifier: Apache-2.0
-- What the journal is asked, in SQLite's words.

-- name: append_events
-- New events; those whose (id, kind) is there already are left as they are. {rows}: tuples of marks.
INSERT OR IGNORE INTO event (
    id, loop, kind, ts, received, unit, choice, arm, candidate, propensity, generation, release,
    name, value, key, input, output, error, seconds, keep, extra
) VALUES {rows};

-- name: ids_after
-- Which events were new since a seq.
SELECT id, kind FROM event WHERE seq > ?;

-- name: last_seq
-- The greatest seq; its row never leaves the journal.
SELECT coalesce(max(seq), 0) FROM event;

-- name: any_sealed_id
-- Whether any id lives in sealed history only.
SELECT EXISTS (SELECT 1 FROM sealed_id);

-- name: sealed_among
-- Which of these keys are sealed. {marks}: one mark a key.
SELECT key FROM sealed_id WHERE key IN ({marks});

-- name: add_to_counter
-- Count new events.
INSERT INTO counter (loop, kind, rows) VALUES (?, ?, ?)
ON CONFLICT (loop, kind) DO UPDATE SET rows = rows + excluded.rows;

-- name: counter
-- How many events a loop has of a kind.
SELECT rows FROM counter WHERE loop = ? AND kind = ?;

-- name: loops
-- Every loop that anything is known of.
SELECT loop FROM counter UNION SELECT loop FROM state UNION SELECT loop FROM record ORDER BY loop;

-- name: state
-- A loop's generation and state.
SELECT generation, body FROM state WHERE loop = ?;

-- name: last_decision
-- The last decision of a loop.
SELECT digest, generation, at FROM decision WHERE loop = ? ORDER BY generation DESC LIMIT 1;

-- name: add_decision
-- Append to a loop's chain.
INSERT INTO decision (loop, generation, digest, previous, at, kind, verdict, subject, body)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: set_state
-- Move a loop's state, together with the decision that says so.
INSERT INTO state (loop, generation, decision, body) VALUES (?, ?, ?, ?)
ON CONFLICT (loop) DO UPDATE
SET generation = excluded.generation, decision = excluded.decision, body = excluded.body;

-- name: decisions
-- A loop's decisions in order.
SELECT digest, body FROM decision
WHERE loop = :loop AND generation > :after AND (:kind IS NULL OR kind = :kind) AND (:subject IS NULL OR subject = :subject)
ORDER BY generation LIMIT :limit;

-- name: decisions_newest_first
-- A loop's decisions, the last one first.
SELECT digest, body FROM decision
WHERE loop = :loop AND generation > :after AND (:kind IS NULL OR kind = :kind) AND (:subject IS NULL OR subject = :subject)
ORDER BY generation DESC LIMIT :limit;

-- name: decisions_by_prefix
-- Decisions whose digest begins with a prefix: at least :low, below :high.
SELECT digest, body FROM decision
WHERE digest >= :low AND digest < :high AND (:loop IS NULL OR loop = :loop) ORDER BY n LIMIT 5;

-- name: add_record
-- A record, unless one of that id is there.
INSERT OR IGNORE INTO record (loop, kind, id, at, body) VALUES (?, ?, ?, ?, ?);

-- name: record
-- One record.
SELECT id, at, body FROM record WHERE loop = ? AND kind = ? AND id = ?;

-- name: records
-- Records of a kind in the order in which they came.
SELECT id, at, body FROM record WHERE loop = ? AND kind = ? ORDER BY n LIMIT ?;

-- name: records_newest_first
-- Records of a kind, the last one first.
SELECT id, at, body FROM record WHERE loop = ? AND kind = ? ORDER BY n DESC LIMIT ?;
