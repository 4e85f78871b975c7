"""CloudEvents 1.0.2: the event as a value, its HTTP and Kafka bindings, its JSON format, and the filters of Triggers.

Pure: nothing here stores, sends or waits. The `cloudevents` package is an oracle of the tests and a
convenience of function authors; what routes events reads them with this room.
"""
