-- SPDX-License-Identifier: Apache-2.0
-- Which Trueup brought the ledger to which schema: an older one that refuses it can name the version to install.

CREATE TABLE migration (
    schema INTEGER PRIMARY KEY,
    version TEXT NOT NULL,
    at INTEGER NOT NULL
);
