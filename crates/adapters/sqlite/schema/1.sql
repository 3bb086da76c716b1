-- Format 1 of the registry. A format that was released is never edited: what changes comes as the next file.
--
-- Times are milliseconds since the epoch, truths are 0 and 1. No foreign keys: no instance is ever deleted, and what refers
-- to one is written in the transaction that has just read its number, so a check at every insert would prove nothing.

-- What the registry is: its format, the deployment's id, when it was made.
CREATE TABLE meta (
    key   TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE instances (
    -- What inbox and history refer to: shorter than the id, and new instances lie side by side.
    number       INTEGER NOT NULL PRIMARY KEY,
    id           TEXT    NOT NULL UNIQUE,
    epoch        INTEGER NOT NULL,
    renewals     INTEGER NOT NULL,
    holder       TEXT,
    wake_at      INTEGER,
    wake_seq     INTEGER NOT NULL,
    inbox_head   INTEGER NOT NULL,
    inbox_read   INTEGER NOT NULL,
    history_head INTEGER NOT NULL,
    name         TEXT,
    service      TEXT    NOT NULL,
    state        TEXT    NOT NULL,
    live         INTEGER NOT NULL,
    -- Last, so that the columns before it are found without walking through it.
    body         TEXT    NOT NULL
) STRICT;

CREATE INDEX instances_due ON instances (wake_at) WHERE wake_at IS NOT NULL;
CREATE INDEX instances_held ON instances (number) WHERE holder IS NOT NULL;
-- Listings. Each index holds every column that a listing filters by, so that a filter which matches little reads no records.
CREATE INDEX instances_name ON instances (name, id) WHERE name IS NOT NULL;
CREATE INDEX instances_service ON instances (service, live, id, state, name);
CREATE INDEX instances_state ON instances (state, id, service, live, name);
CREATE INDEX instances_live ON instances (live, id, service, state, name);

CREATE TABLE reservations (
    kind    TEXT    NOT NULL,
    key     TEXT    NOT NULL,
    owner   TEXT    NOT NULL,
    value   TEXT    NOT NULL,
    resting INTEGER NOT NULL,
    until   INTEGER,
    PRIMARY KEY (kind, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX reservations_owner ON reservations (owner);
CREATE INDEX reservations_until ON reservations (until) WHERE until IS NOT NULL;

CREATE TABLE inbox (
    instance INTEGER NOT NULL,
    seq      INTEGER NOT NULL,
    key      TEXT,
    at       INTEGER NOT NULL,
    -- Dealt with; kept, without its body, only for its key.
    dealt    INTEGER NOT NULL,
    body     TEXT    NOT NULL,
    PRIMARY KEY (instance, seq)
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX inbox_key ON inbox (instance, key) WHERE key IS NOT NULL;
CREATE INDEX inbox_dealt ON inbox (at) WHERE dealt = 1;

CREATE TABLE history (
    instance INTEGER NOT NULL,
    seq      INTEGER NOT NULL,
    entry    TEXT    NOT NULL,
    PRIMARY KEY (instance, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE outbox (
    number   INTEGER NOT NULL PRIMARY KEY,
    id       TEXT    NOT NULL UNIQUE,
    instance TEXT    NOT NULL,
    -- pending, sent or dead
    state    TEXT    NOT NULL,
    tries    INTEGER NOT NULL,
    -- When it is to be tried next, or was sent.
    at       INTEGER NOT NULL,
    error    TEXT,
    body     TEXT    NOT NULL
) STRICT;

CREATE INDEX outbox_pending ON outbox (at) WHERE state = 'pending';
CREATE INDEX outbox_sent ON outbox (at) WHERE state = 'sent';
