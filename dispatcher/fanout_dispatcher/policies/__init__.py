"""Pure machines and decisions: gates that open and close, and the verdict on an attempt. No IO, no clock, no tasks."""
