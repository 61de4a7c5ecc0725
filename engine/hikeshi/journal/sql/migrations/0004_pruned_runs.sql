-- Runs whose bytes were taken out. Their places in the chain and in the order of the journal stay for ever.

CREATE TABLE pruned (
    run TEXT    PRIMARY KEY NOT NULL,
    seq INTEGER NOT NULL  -- the record of the run `retention` that says so
) WITHOUT ROWID;

CREATE TRIGGER pruned_is_not_updated BEFORE UPDATE ON pruned
BEGIN
    SELECT RAISE(ABORT, 'what was pruned stays pruned');
END;

CREATE TRIGGER pruned_is_not_deleted BEFORE DELETE ON pruned
BEGIN
    SELECT RAISE(ABORT, 'what was pruned stays pruned');
END;

-- The same speed bumps as before, but for what is taken out of a run that is listed above.
DROP TRIGGER records_are_not_updated;

CREATE TRIGGER records_are_not_updated BEFORE UPDATE ON records
WHEN NOT (
    NEW.encoded = x'' AND NEW.id IS OLD.id AND NEW.run IS OLD.run AND NEW.seq IS OLD.seq AND NEW.hash IS OLD.hash
    AND EXISTS (SELECT 1 FROM pruned WHERE run = OLD.run)
)
BEGIN
    SELECT RAISE(ABORT, 'records of the journal are never updated');
END;

DROP TRIGGER blob_links_are_not_deleted;

CREATE TRIGGER blob_links_are_not_deleted BEFORE DELETE ON blob_links
WHEN NOT EXISTS (SELECT 1 FROM pruned WHERE run = OLD.run)
BEGIN
    SELECT RAISE(ABORT, 'links to blobs of the journal are never deleted');
END;

DROP TRIGGER blobs_are_not_deleted;

CREATE TRIGGER blobs_are_not_deleted BEFORE DELETE ON blobs
WHEN EXISTS (SELECT 1 FROM blob_links WHERE hash = OLD.hash) OR NOT EXISTS (SELECT 1 FROM pruned)
BEGIN
    SELECT RAISE(ABORT, 'blobs of the journal are never deleted');
END;
