-- Version 2, the registry: what a version was made from and is measured by, and requests that are
-- done once.
ALTER TABLE version ADD COLUMN facts {text}; -- JSON; NULL where there is nothing to say

CREATE TABLE request (
    model  {text} NOT NULL,
    name   {text} NOT NULL, -- the key that the caller gave
    digest {blob} NOT NULL, -- of what was asked for
    answer {int} NOT NULL,  -- the number of the version, or the revision of the alias
    seal   {blob} NOT NULL,
    PRIMARY KEY (model, name)
){keyed};
