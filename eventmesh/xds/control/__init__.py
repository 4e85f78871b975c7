"""The control side of xDS: objects to resources, snapshot cache, subscription state, ADS server, acknowledgements.

Only this package imports envoy-data-plane; a data plane must never load it.
"""

from eventmesh.xds.control.plain_messages import install

install()
