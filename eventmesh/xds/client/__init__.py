"""The subscribing end of xDS: what a data plane asks for, what it has been told, and when that goes live.

`subscription` holds the protocol's rules per type, `known` the resources and their warming; both are pure.
`ads` is the stream around them: `AdsClient` hands one consistent Snapshot after the other to `apply`.
"""
