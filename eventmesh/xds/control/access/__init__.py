"""AuthorizationPolicy, RequestAuthentication and PythonFilter: who may call the workloads of a namespace, whose tokens
they take, and which functions in Python they ask about what has been let in.

Read from objects (`reading`, `conditions`), and told to the inbound side of the workloads they select (`emitting`).
"""
