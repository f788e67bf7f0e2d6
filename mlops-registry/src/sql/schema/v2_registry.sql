-- Version 2, the registry: what a version was made from and is measured by, and requests that are
-- done once.
ALTER TABLE version ADD COLUMN facts {text}; -- JSON; NULL where there is nothing to say

-- Who takes an approval back may approve again.
CREATE TABLE approval_2 (
    id      {id},
    version {int} NOT NULL REFERENCES version (id),
    person  {text} NOT NULL,
    comment {text} NOT NULL,
    at      {int} NOT NULL,
    seal    {blob} NOT NULL
){table};

INSERT INTO approval_2 (version, person, comment, at, seal)
    SELECT version, person, comment, at, seal FROM approval ORDER BY id;

DROP TABLE approval;

ALTER TABLE approval_2 RENAME TO approval;

CREATE INDEX approval_version ON approval (version);

CREATE TABLE withdrawal (
    id       {id},
    approval {int} NOT NULL UNIQUE REFERENCES approval (id),
    reason   {text} NOT NULL,
    at       {int} NOT NULL,
    seal     {blob} NOT NULL
){table};

-- An alias may name no version.
CREATE TABLE alias_change_2 (
    model    {int} NOT NULL REFERENCES model (id),
    alias    {text} NOT NULL,
    revision {int} NOT NULL CHECK (revision >= 1),
    version  {int} CHECK (version >= 1), -- NULL since it was unset
    change   {text} NOT NULL, -- JSON: who, why, when, the open gates, the approvals
    seal     {blob} NOT NULL,
    PRIMARY KEY (model, alias, revision),
    FOREIGN KEY (model, version) REFERENCES version (model, number)
){keyed};

INSERT INTO alias_change_2 (model, alias, revision, version, change, seal)
    SELECT model, alias, revision, version, change, seal FROM alias_change;

DROP TABLE alias_change;

ALTER TABLE alias_change_2 RENAME TO alias_change;

CREATE TABLE request (
    model  {text} NOT NULL,
    name   {text} NOT NULL, -- the key that the caller gave
    digest {blob} NOT NULL, -- of what was asked for
    answer {int} NOT NULL,  -- the number of the version, or the revision of the alias
    seal   {blob} NOT NULL,
    PRIMARY KEY (model, name)
){keyed};
