"""The durable queue behind one contract: SQLite (embedded), memory (durability Memory, tests)."""
