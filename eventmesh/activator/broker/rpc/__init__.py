"""From an event to a call and from its result to an event: what a Trigger does that names a method. No I/O.

`calls` is what the dispatcher asks; `grpc`, `bolt` and `dubbo` know their protocols, `java` what data is as arguments.
"""
