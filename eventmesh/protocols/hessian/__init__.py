"""Hessian 2, the serialization of Java's Dubbo and SOFARPC, in the two dialects that go by this name.

`values` is what both carry, `writer` and `reader` hold what they have in common, `final` is the published format
(Dubbo), `draft` the older one that SOFARPC has kept; `json_values` says what JSON means as Java, and back. Nothing
here knows of calls.
"""
