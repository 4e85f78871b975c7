"""Services that are called by interface: older SOFARPC and Dubbo services, and those of declared protocols.

`ServiceInterface` says which interfaces a Service offers, `ProtocolDeclaration` what a protocol of its own looks like.
"""
