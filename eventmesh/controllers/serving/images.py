"""What the Revision reconciler asks of whoever knows images: the runtime's store, or a registry."""

from __future__ import annotations

from typing import Protocol


class ImageResolver(Protocol):
    """Finds the exact version that an image reference means now."""

    async def resolve(self, image: str) -> str:
        """Return `image` by digest, `repository@sha256:...`; one that already has a digest is returned as it is.

        Raises MeshError when there is no such image; its message is shown in the Revision's condition.
        UnavailableError means that the answer may be had later.
        """
        ...


class AsWritten:
    """Leaves images as revisions name them: on a cluster the kubelet asks the registry, with the pod's own secrets.

    Serving's own controller asks before, so that a tag that moves does not change a revision. Whoever wants that here
    names the image by digest.
    """

    async def resolve(self, image: str) -> str:
        """Return `image`."""
        return image
