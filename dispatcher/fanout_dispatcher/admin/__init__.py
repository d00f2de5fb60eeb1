"""The ports for operators of the dispatcher, people and machines: health, metrics, admin API, report stream."""
