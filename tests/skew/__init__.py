"""The version before this one, as far as the other plane can tell: what it wrote, and how it read.

During an upgrade, and for as long as one is taken back, an operator and dispatchers of two versions in a row work
together. Recorded here are a plan and a report that the version before wrote (`plan_before.json`,
`report_before.ndjson`), and its readers (`plan_before.py`, `report_before.py`), copied from it with nothing changed but
what they import. With a release all four are made anew from the one before it, by its own code.
"""
