"""The Envoy v3 messages that eventmesh understands, as one table with two readers and one writer.

`table` holds the messages, `types` their compiled form, `document` reads the JSON shape (bootstrap files),
`wire` reads and writes protobuf bytes (xDS); both readers give the same `tree.Message`. Every field of a
message in the table is listed, supported or not, so that a set field is never ignored in silence.
Nothing here knows what a message means: that is `translate`.
"""
