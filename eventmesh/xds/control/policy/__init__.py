"""TrafficPolicy: what the author of a function or a Service wants done when things go wrong or there is too much.

Read from objects (`reading`), laid upon what it is for (`attaching`), put into Envoy's fields (`emitting`), and told
about (`status`).
"""
