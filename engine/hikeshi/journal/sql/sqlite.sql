-- head_of_run: where the next append to a run has to continue
SELECT seq, hash FROM heads WHERE run = ?;

-- insert_record: store one record
INSERT INTO records (run, seq, encoded, hash) VALUES (?, ?, ?, ?);

-- move_head: remember the last record of a run
INSERT INTO heads (run, seq, hash) VALUES (?, ?, ?)
ON CONFLICT (run) DO UPDATE SET seq = excluded.seq, hash = excluded.hash;

-- hash_of_record: where a reader that starts in the middle joins the chain
SELECT hash FROM records WHERE run = ? AND seq = ?;

-- page_of_run: the next records of a run, in order
SELECT seq, encoded, hash FROM records WHERE run = ? AND seq > ? ORDER BY seq LIMIT ?;

-- all_encoded: every record in the order of appending, to refill projections
SELECT id, encoded FROM records ORDER BY id;

-- all_records: every record in the order of appending, to verify; text in the place of bytes counts as nothing
SELECT id, run, seq,
       CASE typeof(encoded) WHEN 'blob' THEN encoded END,
       CASE typeof(hash) WHEN 'blob' THEN hash END
FROM records ORDER BY id;

-- all_heads: the last record of every run, to verify
SELECT run, seq, hash FROM heads;

-- check_records: whether the index and the table of records agree
PRAGMA integrity_check(records);

-- stored_projections: which projections are filled, and by which version
SELECT name, version FROM projections;

-- forget_projection: a projection's tables are gone
DELETE FROM projections WHERE name = ?;

-- remember_projection: a projection's tables are filled by this version
INSERT INTO projections (name, version) VALUES (?, ?);

-- objects_of_projection: what its schema created
SELECT type, name FROM projection_objects WHERE projection = ?;

-- forget_objects: what its schema created is dropped
DELETE FROM projection_objects WHERE projection = ?;

-- remember_object: its schema created this
INSERT INTO projection_objects (projection, type, name) VALUES (?, ?, ?);

-- schema_objects: everything a schema can create and a DROP has to name
SELECT type, name FROM sqlite_master WHERE name NOT LIKE 'sqlite!_%' ESCAPE '!';

-- change_nothing: fails at once if the file can't be written
DELETE FROM heads WHERE 0;
