"""The kinds of Eventing: what may be written, what is filled in, and the conditions that tell whether they work.

The delivery itself is `activator.broker`: it serves a Trigger as soon as `status.subscriberUri` is there, and a channel
by its `spec.subscribers`.
"""
