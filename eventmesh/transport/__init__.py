"""Every socket of the data path: listening, dialling, doing what the engine's actions say, draining.

Nothing here decides where a request goes (the compiled core does) or where configuration comes from (`xds`
does). Control-side sockets (Kubernetes, ADS, the embedded API) live with their components.
"""
