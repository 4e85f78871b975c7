"""What of a request is hashed to choose its endpoint."""

from __future__ import annotations

from eventmesh.model.policy import HashOn, HashPart
from eventmesh.xds.schema.tree import Message


def read_hash(policy: Message) -> HashOn:
    """Return one `hash_policy` of a route. Raises ConfigError for one that names nothing we can hash."""
    parts = {"header": "header_name", "cookie": "name", "query_parameter": "name"}
    for (field, name), part in zip(parts.items(), (HashPart.HEADER, HashPart.COOKIE, HashPart.QUERY), strict=True):
        named = policy.child(field)
        if named is not None:
            if not named.text(name):
                raise named.error(name, "missing")
            text = named.text(name).lower() if part is HashPart.HEADER else named.text(name)
            return HashOn(part, text, policy.flag("terminal"))
    connection = policy.child("connection_properties")
    if connection is None or not connection.flag("source_ip"):
        raise policy.error("", "says not what to hash; give header, cookie, query_parameter or source_ip")
    return HashOn(HashPart.SOURCE_IP, terminal=policy.flag("terminal"))
