-- SPDX-License-Identifier: Apache-2.0
-- The first schema: events, decisions, records, counters, and the catalogue of sealed history.

-- Facts. seq grows by one with every row; the row with the greatest seq is never deleted, so that
-- a seq is never used twice. (kind, id) is unique here and against sealed_id.
CREATE TABLE event (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL,
    loop TEXT NOT NULL,
    kind TEXT NOT NULL,
    ts INTEGER NOT NULL,
    received INTEGER NOT NULL,
    unit TEXT,
    choice TEXT,
    arm TEXT,
    candidate TEXT,
    propensity REAL,
    generation INTEGER,
    release TEXT,
    name TEXT,
    value REAL,
    key TEXT,
    input TEXT,
    output TEXT,
    error TEXT,
    seconds REAL,
    keep INTEGER NOT NULL,
    extra TEXT,
    UNIQUE (id, kind)
);

-- Ids of events that live in sealed history only, in 17 bytes each (see _ids.py).
CREATE TABLE sealed_id (key BLOB PRIMARY KEY) WITHOUT ROWID;

-- How many events a loop has of a kind, sealed ones included.
CREATE TABLE counter (
    loop TEXT NOT NULL,
    kind TEXT NOT NULL,
    rows INTEGER NOT NULL,
    PRIMARY KEY (loop, kind)
) WITHOUT ROWID;

-- Decisions: one chain a loop. digest is the SHA-256 of body; previous is that of the one before.
CREATE TABLE decision (
    n INTEGER PRIMARY KEY,
    digest TEXT NOT NULL UNIQUE,
    loop TEXT NOT NULL,
    generation INTEGER NOT NULL,
    at INTEGER NOT NULL,
    kind TEXT NOT NULL,
    verdict TEXT NOT NULL,
    subject TEXT,
    previous TEXT,
    body TEXT NOT NULL,
    UNIQUE (loop, generation)
);
CREATE INDEX decision_subject ON decision (loop, subject) WHERE subject IS NOT NULL;

-- The state of a loop: that of its last decision, and nothing else moves it.
CREATE TABLE state (
    loop TEXT PRIMARY KEY,
    generation INTEGER NOT NULL,
    decision TEXT NOT NULL REFERENCES decision (digest),
    body TEXT NOT NULL
) WITHOUT ROWID;

-- Records: insert-only, the first body stands.
CREATE TABLE record (
    n INTEGER PRIMARY KEY,
    loop TEXT NOT NULL,
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    at INTEGER NOT NULL,
    body TEXT NOT NULL,
    UNIQUE (loop, kind, id)
);
CREATE INDEX record_order ON record (loop, kind, n);

-- Sealed history: one immutable Parquet file per (loop, kind) and sealing, named by the logical
-- digest of its rows.
CREATE TABLE segment (
    n INTEGER PRIMARY KEY,
    sha256 TEXT NOT NULL,
    loop TEXT NOT NULL,
    kind TEXT NOT NULL,
    rows INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    seq_min INTEGER NOT NULL,
    seq_max INTEGER NOT NULL,
    ts_min INTEGER NOT NULL,
    ts_max INTEGER NOT NULL,
    received_min INTEGER NOT NULL,
    received_max INTEGER NOT NULL,
    sealed_at INTEGER NOT NULL,
    UNIQUE (loop, kind, seq_min)
);

-- The watermark: events up to it are read from segments, events after it from the journal.
CREATE TABLE sealed (one INTEGER PRIMARY KEY CHECK (one = 1), upto INTEGER NOT NULL);
INSERT INTO sealed (one, upto) VALUES (1, 0);
