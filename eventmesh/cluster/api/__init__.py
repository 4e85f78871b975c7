"""The embedded Kubernetes API: what is served, the rules of writing, REST, watch, discovery, OpenAPI, tables.

`registry.Registry` carries the verbs and knows no HTTP; `server.ApiServer` puts it on a TLS port;
`inprocess.InProcessApi` gives the same verbs to controllers of this process.
"""
