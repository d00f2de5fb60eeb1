"""The engine: accepted events become deliveries, lanes carry them out, verdicts go into the journal."""
