"""One data-plane process around one engine: configuration in, signals, admin pages, metrics.

Sidecar, gateway and activator are this with other handlers and other snapshots. Where the configuration comes from
is not known here: `xds` calls `DataPlane.apply`.
"""
