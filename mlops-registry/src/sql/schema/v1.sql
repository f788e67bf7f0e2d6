-- Version 1. A row is written once and never changed; its seal is the SHA-256 of what it says.
CREATE TABLE model (
    id   {id},
    name {text} NOT NULL UNIQUE
){table};

CREATE TABLE version (
    id          {id},
    model       {int} NOT NULL REFERENCES model (id),
    number      {int} NOT NULL CHECK (number >= 1),
    digest      {blob} NOT NULL,
    author      {text} NOT NULL,
    created_at  {int} NOT NULL, -- this and every time: milliseconds since 1970, UTC
    data_digest {blob},
    seal        {blob} NOT NULL,
    UNIQUE (model, number)
){table};

-- The bytes of artifacts, once per digest, in pieces.
CREATE TABLE blob (
    id     {id},
    digest {blob} NOT NULL UNIQUE,
    size   {int} NOT NULL CHECK (size >= 0)
){table};

CREATE TABLE chunk (
    blob  {int} NOT NULL REFERENCES blob (id),
    seq   {int} NOT NULL,
    bytes {blob} NOT NULL,
    UNIQUE (blob, seq)
){table};

CREATE TABLE artifact (
    version {int} NOT NULL REFERENCES version (id),
    name    {text} NOT NULL,
    blob    {int} NOT NULL REFERENCES blob (id),
    PRIMARY KEY (version, name)
){keyed};

CREATE INDEX artifact_blob ON artifact (blob);

CREATE TABLE metric (
    version {int} NOT NULL REFERENCES version (id),
    name    {text} NOT NULL,
    value   {real},           -- for people with an SQL prompt; NULL where it is NaN
    bits    {int} NOT NULL, -- the IEEE 754 bits, which are what counts
    PRIMARY KEY (version, name)
){keyed};

CREATE TABLE param (
    version {int} NOT NULL REFERENCES version (id),
    name    {text} NOT NULL,
    value   {text} NOT NULL,
    PRIMARY KEY (version, name)
){keyed};

CREATE TABLE tag (
    version {int} NOT NULL REFERENCES version (id),
    name    {text} NOT NULL,
    value   {text} NOT NULL,
    PRIMARY KEY (version, name)
){keyed};

CREATE TABLE gate (
    id      {id},
    version {int} NOT NULL REFERENCES version (id),
    report  {text} NOT NULL, -- JSON
    seal    {blob} NOT NULL
){table};

CREATE INDEX gate_version ON gate (version);

CREATE TABLE approval (
    id      {id},
    version {int} NOT NULL REFERENCES version (id),
    person  {text} NOT NULL,
    comment {text} NOT NULL,
    at      {int} NOT NULL,
    seal    {blob} NOT NULL,
    UNIQUE (version, person)
){table};

-- Models and aliases by name: a policy may be set before there is either.
CREATE TABLE policy (
    id     {id},
    model  {text} NOT NULL,
    alias  {text} NOT NULL,
    policy {text} NOT NULL, -- JSON
    actor  {text} NOT NULL,
    at     {int} NOT NULL,
    seal   {blob} NOT NULL
){table};

CREATE INDEX policy_alias ON policy (model, alias);

-- Every move of an alias; it points where the last one put it.
CREATE TABLE alias_change (
    model    {int} NOT NULL REFERENCES model (id),
    alias    {text} NOT NULL,
    revision {int} NOT NULL CHECK (revision >= 1),
    version  {int} NOT NULL CHECK (version >= 1),
    change   {text} NOT NULL, -- JSON: who, why, when, the open gates, the approvals
    seal     {blob} NOT NULL,
    PRIMARY KEY (model, alias, revision),
    FOREIGN KEY (model, version) REFERENCES version (model, number)
){keyed};
