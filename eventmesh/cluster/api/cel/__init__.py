"""The Common Expression Language as Kubernetes speaks it in CRDs: checked against a schema, run at a bounded cost.

From bottom to top: `types`, `values`, `syntax`, `parser`; the functions of `library`; `fields`, by which expressions
see objects; `checker` and `macros`, which find what each part is; `compiling`, which makes a program of an expression.
What a schema's rules are and when they run is `eventmesh.cluster.api.rules`.
docs/adr/0080-rules-in-cel.md says why this is ours.
"""
