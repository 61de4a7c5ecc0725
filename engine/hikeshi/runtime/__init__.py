"""The shell around core: drives runs, carries actions through the gate, keeps the ledger."""
