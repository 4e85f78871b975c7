"""Event sources that run inside the activator.

Each is a queue of its own in the broker's store with one subscriber, its sink: what a source has sent is on disk, and
is delivered, retried and kept like any other event.
"""
