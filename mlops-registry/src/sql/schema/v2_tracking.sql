-- Tracking: experiments, runs, and what the runs log.
CREATE TABLE experiment (
    id         {id},
    name       {text} UNIQUE, -- NULL once it is forgotten: its id is not used again
    created_at {int} NOT NULL,
    deleted_at {int}
){table};

CREATE TABLE experiment_tag (
    experiment {int} NOT NULL REFERENCES experiment (id),
    name       {text} NOT NULL,
    value      {text} NOT NULL,
    PRIMARY KEY (experiment, name)
){keyed};

CREATE TABLE run (
    id         {id},
    run        {text} NOT NULL UNIQUE,
    experiment {int} NOT NULL REFERENCES experiment (id),
    name       {text} NOT NULL,
    parent     {text},
    status     {text} NOT NULL,
    person     {text},
    source     {text},
    code       {text}, -- the commit
    started_at {int} NOT NULL,
    ended_at   {int},
    deleted_at {int}
){table};

-- All that a search reads of every run.
CREATE INDEX run_column ON run (experiment, deleted_at, started_at, ended_at, status);

-- Keys of metrics, parameters and tags, once each.
CREATE TABLE run_key (
    id   {id},
    name {text} NOT NULL UNIQUE
){table};

-- The last point of every metric.
CREATE TABLE run_metric (
    run        {int} NOT NULL REFERENCES run (id),
    key        {int} NOT NULL REFERENCES run_key (id),
    experiment {int} NOT NULL,
    step       {int} NOT NULL,
    at         {int} NOT NULL,
    value      {real},         -- for people with an SQL prompt; NULL where it is NaN
    bits       {int} NOT NULL, -- the IEEE 754 bits, which are what counts
    chunks     {int} NOT NULL, -- how many chunks its points have
    tail       {int} NOT NULL, -- how many bytes the last of them has
    PRIMARY KEY (run, key)
){keyed};

CREATE INDEX run_metric_column ON run_metric (experiment, key, run, bits);

-- Every point, many to a row.
CREATE TABLE run_points (
    run       {int} NOT NULL REFERENCES run (id),
    key       {int} NOT NULL REFERENCES run_key (id),
    seq       {int} NOT NULL,
    min_step  {int} NOT NULL,
    max_step  {int} NOT NULL,
    points    {blob} NOT NULL,
    UNIQUE (run, key, seq)
){table};

-- Parameters (kind 0) and tags (kind 1). A short value stands in `brief`, and with it in the
-- index; a long one in `long`.
CREATE TABLE run_text (
    run        {int} NOT NULL REFERENCES run (id),
    kind       {int} NOT NULL,
    key        {int} NOT NULL REFERENCES run_key (id),
    experiment {int} NOT NULL,
    brief      {text},
    long       {text},
    PRIMARY KEY (run, kind, key)
){keyed};

CREATE INDEX run_text_column ON run_text (experiment, kind, key, run, brief);

-- Datasets that a run read.
CREATE TABLE run_input (
    run        {int} NOT NULL REFERENCES run (id),
    identity   {blob} NOT NULL, -- the SHA-256 of what it says
    experiment {int} NOT NULL,
    name       {text} NOT NULL,
    digest     {text} NOT NULL,
    source     {text} NOT NULL,
    context    {text} NOT NULL,
    PRIMARY KEY (run, identity)
){keyed};

CREATE INDEX run_input_column ON run_input (experiment, run);

-- Models that a run made.
CREATE TABLE run_model (
    run    {int} NOT NULL REFERENCES run (id),
    name   {text} NOT NULL,
    digest {blob} NOT NULL,
    step   {int} NOT NULL,
    PRIMARY KEY (run, name, digest, step)
){keyed};
