-- Version 2, the outbox: how far each consumer of the audit log has come.
CREATE TABLE consumer (
    name         {text} NOT NULL PRIMARY KEY,
    next         {int} NOT NULL CHECK (next >= 0), -- the number of the next audit entry
    failures     {int} NOT NULL,
    problem      {text},
    delivered_at {int},
    holder       {text}, -- who has the turn to deliver
    held_until   {int}
){keyed};
