-- The records, the last one of each run, and which projections are filled.

CREATE TABLE records (
    id      INTEGER PRIMARY KEY,  -- the order of all appends; without a gap, since nothing is ever deleted
    run     TEXT    NOT NULL,
    seq     INTEGER NOT NULL CHECK (seq >= 1),
    encoded BLOB    NOT NULL CHECK (typeof(encoded) = 'blob'),
    hash    BLOB    NOT NULL CHECK (typeof(hash) = 'blob' AND length(hash) = 32),
    UNIQUE (run, seq)
);

CREATE TABLE heads (
    run  TEXT    PRIMARY KEY NOT NULL,
    seq  INTEGER NOT NULL,
    hash BLOB    NOT NULL
) WITHOUT ROWID;

-- A speed bump against accidents. Whoever can write the file can drop these; verification is the protection.
CREATE TRIGGER records_are_not_updated BEFORE UPDATE ON records
BEGIN
    SELECT RAISE(ABORT, 'records of the journal are never updated');
END;

CREATE TRIGGER records_are_not_deleted BEFORE DELETE ON records
BEGIN
    SELECT RAISE(ABORT, 'records of the journal are never deleted');
END;

CREATE TABLE projections (
    name    TEXT    PRIMARY KEY NOT NULL,
    version INTEGER NOT NULL
) WITHOUT ROWID;

-- What a projection's schema created, so that it can be dropped when the next version names its tables differently.
CREATE TABLE projection_objects (
    projection TEXT NOT NULL,
    type       TEXT NOT NULL,
    name       TEXT NOT NULL,
    PRIMARY KEY (type, name)
) WITHOUT ROWID;
