-- SPDX-License-Identifier: Apache-2.0
-- Opening and migrating a ledger, in SQLite's words.

-- name: add_migration
-- This ledger was brought to a schema, by which Trueup and when.
INSERT OR REPLACE INTO migration (schema, version, at) VALUES (?, ?, ?);

-- name: migrated_by
-- The Trueup that brought the ledger to its newest schema.
SELECT version FROM migration ORDER BY schema DESC LIMIT 1;

-- name: has_migrations
-- Whether the ledger says which Trueup brought it to its schema: from schema 2 on.
SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'migration';

-- name: generations
-- How many decisions each loop has: what a manifest says of a copy.
SELECT loop, max(generation) FROM decision GROUP BY loop ORDER BY loop;
