-- Messages to runs, what happened outside, and large values that are stored once.

CREATE TABLE inbox (
    id     INTEGER PRIMARY KEY AUTOINCREMENT,  -- an id is never used again, though messages are deleted
    run    TEXT NOT NULL,
    kind   TEXT NOT NULL,
    sender TEXT NOT NULL,
    at     TEXT NOT NULL,
    data   BLOB NOT NULL CHECK (typeof(data) = 'blob')
);

CREATE INDEX inbox_by_run ON inbox (run);

CREATE TABLE signals (
    id     INTEGER PRIMARY KEY AUTOINCREMENT,
    name   TEXT NOT NULL,
    source TEXT NOT NULL,
    at     TEXT NOT NULL,
    data   BLOB NOT NULL CHECK (typeof(data) = 'blob')
);

-- Whoever starts to wait asks by time; whoever goes on waiting asks for what came after the last one.
CREATE INDEX signals_by_time ON signals (name, at);
CREATE INDEX signals_by_id ON signals (name, id);

CREATE TABLE blobs (
    hash    BLOB PRIMARY KEY NOT NULL CHECK (typeof(hash) = 'blob' AND length(hash) = 32),
    content BLOB             NOT NULL CHECK (typeof(content) = 'blob')
);

CREATE TABLE blob_links (
    hash BLOB    NOT NULL,
    run  TEXT    NOT NULL,
    seq  INTEGER NOT NULL,  -- the record that refers to the blob
    PRIMARY KEY (hash, run, seq)
) WITHOUT ROWID;

-- A speed bump against accidents, as for records.
CREATE TRIGGER blobs_are_not_updated BEFORE UPDATE ON blobs
BEGIN
    SELECT RAISE(ABORT, 'blobs of the journal are never updated');
END;

CREATE TRIGGER blobs_are_not_deleted BEFORE DELETE ON blobs
BEGIN
    SELECT RAISE(ABORT, 'blobs of the journal are never deleted');
END;

CREATE TRIGGER blob_links_are_not_updated BEFORE UPDATE ON blob_links
BEGIN
    SELECT RAISE(ABORT, 'links to blobs of the journal are never updated');
END;

CREATE TRIGGER blob_links_are_not_deleted BEFORE DELETE ON blob_links
BEGIN
    SELECT RAISE(ABORT, 'links to blobs of the journal are never deleted');
END;
