"""What a route fetches by itself, besides what is posted to it: rows of an outbox table in PostgreSQL."""
