-- Version 1. A row is written once and never changed; its seal is the SHA-256 of what it says.
CREATE TABLE model (
    id   INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
) STRICT;

CREATE TABLE version (
    id          INTEGER PRIMARY KEY,
    model       INTEGER NOT NULL REFERENCES model (id),
    number      INTEGER NOT NULL CHECK (number >= 1),
    digest      BLOB NOT NULL,
    author      TEXT NOT NULL,
    created_at  INTEGER NOT NULL, -- this and every time: milliseconds since 1970, UTC
    data_digest BLOB,
    seal        BLOB NOT NULL,
    UNIQUE (model, number)
) STRICT;

-- The bytes of artifacts, once per digest, in pieces.
CREATE TABLE blob (
    id     INTEGER PRIMARY KEY,
    digest BLOB NOT NULL UNIQUE,
    size   INTEGER NOT NULL CHECK (size >= 0)
) STRICT;

CREATE TABLE chunk (
    blob  INTEGER NOT NULL REFERENCES blob (id),
    seq   INTEGER NOT NULL,
    bytes BLOB NOT NULL,
    UNIQUE (blob, seq)
) STRICT;

CREATE TABLE artifact (
    version INTEGER NOT NULL REFERENCES version (id),
    name    TEXT NOT NULL,
    blob    INTEGER NOT NULL REFERENCES blob (id),
    PRIMARY KEY (version, name)
) STRICT, WITHOUT ROWID;

CREATE INDEX artifact_blob ON artifact (blob);

CREATE TABLE metric (
    version INTEGER NOT NULL REFERENCES version (id),
    name    TEXT NOT NULL,
    value   REAL,             -- for people with an SQL prompt; NULL where it is NaN
    bits    INTEGER NOT NULL, -- the IEEE 754 bits, which are what counts
    PRIMARY KEY (version, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE param (
    version INTEGER NOT NULL REFERENCES version (id),
    name    TEXT NOT NULL,
    value   TEXT NOT NULL,
    PRIMARY KEY (version, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE tag (
    version INTEGER NOT NULL REFERENCES version (id),
    name    TEXT NOT NULL,
    value   TEXT NOT NULL,
    PRIMARY KEY (version, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE gate (
    id      INTEGER PRIMARY KEY,
    version INTEGER NOT NULL REFERENCES version (id),
    report  TEXT NOT NULL, -- JSON
    seal    BLOB NOT NULL
) STRICT;

CREATE INDEX gate_version ON gate (version);

CREATE TABLE approval (
    id      INTEGER PRIMARY KEY,
    version INTEGER NOT NULL REFERENCES version (id),
    person  TEXT NOT NULL,
    comment TEXT NOT NULL,
    at      INTEGER NOT NULL,
    seal    BLOB NOT NULL,
    UNIQUE (version, person)
) STRICT;

-- Models and aliases by name: a policy may be set before there is either.
CREATE TABLE policy (
    id     INTEGER PRIMARY KEY,
    model  TEXT NOT NULL,
    alias  TEXT NOT NULL,
    policy TEXT NOT NULL, -- JSON
    actor  TEXT NOT NULL,
    at     INTEGER NOT NULL,
    seal   BLOB NOT NULL
) STRICT;

CREATE INDEX policy_alias ON policy (model, alias);

-- Every move of an alias; it points where the last one put it.
CREATE TABLE alias_change (
    model    INTEGER NOT NULL REFERENCES model (id),
    alias    TEXT NOT NULL,
    revision INTEGER NOT NULL CHECK (revision >= 1),
    version  INTEGER NOT NULL CHECK (version >= 1),
    change   TEXT NOT NULL, -- JSON: who, why, when, the open gates, the approvals
    seal     BLOB NOT NULL,
    PRIMARY KEY (model, alias, revision),
    FOREIGN KEY (model, version) REFERENCES version (model, number)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER version_is_final BEFORE UPDATE ON version
BEGIN SELECT RAISE (ABORT, 'a version is never changed'); END;
CREATE TRIGGER gate_is_final BEFORE UPDATE ON gate
BEGIN SELECT RAISE (ABORT, 'a gate report is never changed'); END;
CREATE TRIGGER gate_stays BEFORE DELETE ON gate
BEGIN SELECT RAISE (ABORT, 'a gate report is never deleted'); END;
CREATE TRIGGER approval_is_final BEFORE UPDATE ON approval
BEGIN SELECT RAISE (ABORT, 'an approval is never changed'); END;
CREATE TRIGGER approval_stays BEFORE DELETE ON approval
BEGIN SELECT RAISE (ABORT, 'an approval is never deleted'); END;
CREATE TRIGGER policy_is_final BEFORE UPDATE ON policy
BEGIN SELECT RAISE (ABORT, 'a policy is never changed, only followed by another'); END;
CREATE TRIGGER policy_stays BEFORE DELETE ON policy
BEGIN SELECT RAISE (ABORT, 'a policy is never deleted'); END;
CREATE TRIGGER history_is_final BEFORE UPDATE ON alias_change
BEGIN SELECT RAISE (ABORT, 'history is never changed'); END;
CREATE TRIGGER history_stays BEFORE DELETE ON alias_change
BEGIN SELECT RAISE (ABORT, 'history is never deleted'); END;
