"""The audit log that outsiders can believe: a signed tree over all records of the journal, anchored elsewhere."""
