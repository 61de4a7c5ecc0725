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

-- all_encoded: every record in the order of appending, to refill projections; what was pruned has no bytes any more
SELECT id, encoded FROM records WHERE NOT (encoded = x'' AND run IN (SELECT run FROM pruned)) ORDER BY id;

-- hashes_of_run: the chain of a run, without its contents
SELECT hash FROM records WHERE run = ? ORDER BY seq;

-- overwrite_what_is_deleted: bytes that are taken out leave no trace in the file
PRAGMA secure_delete = ON;

-- is_pruned: whether a run may have no bytes
SELECT 1 FROM pruned WHERE run = ?;

-- remember_pruned: from now on the bytes of this run may be taken out
INSERT INTO pruned (run, seq) VALUES (?, ?) ON CONFLICT DO NOTHING;

-- remove_bytes: the places and the hashes stay
UPDATE records SET encoded = x'' WHERE run = ? AND encoded <> x'';

-- blobs_of_run: the large values that a run refers to
SELECT DISTINCT hash FROM blob_links WHERE run = ?;

-- unlink_blobs: a run that was pruned refers to nothing any more
DELETE FROM blob_links WHERE run = ?;

-- remove_blob: unless something else refers to it
DELETE FROM blobs WHERE hash = ? AND NOT EXISTS (SELECT 1 FROM blob_links WHERE hash = blobs.hash);

-- all_records: every record in the order of appending, to verify; text in the place of bytes counts as nothing
SELECT id, run, seq,
       CASE typeof(encoded) WHEN 'blob' THEN encoded END,
       CASE typeof(hash) WHEN 'blob' THEN hash END
FROM records ORDER BY id;

-- all_heads: the last record of every run, to verify
SELECT run, seq, hash FROM heads;

-- journal_size: how many records there are; their ids have no gaps
SELECT coalesce(max(id), 0) FROM records;

-- last_record: the one that was appended last, without its contents
SELECT id, run, seq, hash FROM records ORDER BY id DESC LIMIT 1;

-- count_heads: how many runs there are
SELECT count(*) FROM heads;

-- all_places: every record in the order of appending, without its contents
SELECT id, run, seq, hash FROM records ORDER BY id;

-- places_after: which records come next in the order of appending, without their contents
SELECT id, run, seq, hash FROM records WHERE id > ? ORDER BY id LIMIT ?;

-- place_of_record: where in the order of appending a record stands
SELECT id FROM records WHERE run = ? AND seq = ?;

-- store_checkpoint: of two processes that sign the same size, the first one counts
INSERT INTO checkpoints (size, at, note, edge) VALUES (?, ?, ?, ?) ON CONFLICT (size) DO NOTHING;

-- last_checkpoint: where the next one goes on
SELECT size, at, note, edge FROM checkpoints ORDER BY size DESC LIMIT 1;

-- signed_size: how many records the largest checkpoint covers
SELECT coalesce(max(size), 0) FROM checkpoints;

-- all_checkpoints: to export and to verify
SELECT size, at, note, edge FROM checkpoints ORDER BY size;

-- store_receipt: a checkpoint has reached an anchor
INSERT INTO receipts (anchor, size, at, receipt) VALUES (?, ?, ?, ?);

-- anchored_size: up to which checkpoint an anchor has got them
SELECT coalesce(max(size), 0) FROM receipts WHERE anchor = ?;

-- all_receipts: to export
SELECT anchor, size, at, receipt FROM receipts ORDER BY id;

-- check_records: whether the index and the table of records agree
PRAGMA integrity_check(records);

-- post_message: put a message into a run's inbox
INSERT INTO inbox (run, kind, sender, at, data) VALUES (?, ?, ?, ?, ?);

-- take_message: the run has taken it into its records
DELETE FROM inbox WHERE id = ? AND run = ?;

-- messages_of_run: what waits for a run, oldest first
SELECT id, run, kind, sender, at, data FROM inbox WHERE run = ? AND id > ? ORDER BY id;

-- runs_with_messages: by the oldest message of each
SELECT run FROM inbox GROUP BY run ORDER BY min(id);

-- store_signal: keep what happened outside
INSERT INTO signals (name, source, at, data) VALUES (?, ?, ?, ?);

-- signals_since: the first page, found by time; only its own rows are read, however many come after
SELECT id, name, at, source, data FROM signals WHERE id IN (
    SELECT id FROM signals INDEXED BY signals_by_time WHERE name = ? AND at >= ? ORDER BY id LIMIT ?
) ORDER BY id;

-- signals_after: a later page, found by the last signal that is known
SELECT id, name, at, source, data FROM signals INDEXED BY signals_by_id
WHERE name = ? AND id > ? AND at >= ? ORDER BY id LIMIT ?;

-- store_blob: the same content is stored once; any other conflict is an error, which OR IGNORE would pass over
INSERT INTO blobs (hash, content) VALUES (?, ?) ON CONFLICT (hash) DO NOTHING;

-- link_blob: this record refers to it
INSERT INTO blob_links (hash, run, seq) VALUES (?, ?, ?) ON CONFLICT DO NOTHING;

-- content_of_blob: what is stored under a hash; text in the place of bytes counts as nothing
SELECT CASE typeof(content) WHEN 'blob' THEN content END FROM blobs WHERE hash = ?;

-- all_blob_hashes: every blob, to verify; by the table, since the index may be what is damaged
SELECT hash FROM blobs NOT INDEXED;

-- all_blob_links: every reference to a blob, and whether the record is there, to verify
SELECT hash, run, seq, EXISTS (SELECT 1 FROM records WHERE run = blob_links.run AND seq = blob_links.seq)
FROM blob_links ORDER BY run, seq;

-- check_blobs: whether the index and the table of blobs agree
PRAGMA integrity_check(blobs);

-- data_version: another number when another connection has written
PRAGMA data_version;

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
