-- Signed statements of what the journal held, and where each was sent.

CREATE TABLE checkpoints (
    size INTEGER PRIMARY KEY,  -- how many records it covers, in the order of their ids
    note TEXT NOT NULL,        -- the signed statement, as it is handed out
    edge BLOB NOT NULL CHECK (typeof(edge) = 'blob'),  -- the hashes from which the tree goes on
    at   TEXT NOT NULL
);

CREATE TABLE receipts (
    id      INTEGER PRIMARY KEY,
    anchor  TEXT    NOT NULL,  -- where a checkpoint was sent
    size    INTEGER NOT NULL,  -- which one
    at      TEXT    NOT NULL,
    receipt BLOB    NOT NULL CHECK (typeof(receipt) = 'blob')  -- what came back, such as a time stamp; may be empty
);

CREATE INDEX receipts_by_anchor ON receipts (anchor, size);
