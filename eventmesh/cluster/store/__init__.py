"""Where the embedded API keeps its objects: an append-only history in SQLite and an index of it in memory.

Knows keys, revisions and JSON; knows nothing of kinds, namespaces' lives or HTTP.
"""
