"""AuthorizationPolicy and RequestAuthentication: who may call the workloads of a namespace, and whose tokens they take.

Read from objects (`reading`, `conditions`), and told to the inbound side of the workloads they select (`emitting`).
"""
