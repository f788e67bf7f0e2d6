-- Version 2, the audit log: an entry for every change, made in the change's own transaction.
CREATE TABLE audit (
    seq   {int} NOT NULL PRIMARY KEY CHECK (seq >= 0),
    hash  {blob} NOT NULL, -- of the entry: the next one holds it
    entry {text} NOT NULL  -- canonical JSON; only the personal values in it may be erased
){table};
