"""How long tests wait for what is due."""

from __future__ import annotations

from typing import Final

WAIT_S: Final = 60.0
"""Far longer than anything that is waited for takes: only a failure ever waits so long. It bounds a hang and times
nothing, so it is what a machine needs whose processors others use as well, and not what a quiet one does."""

END_WAIT_S: Final = 28.0
"""For who is to end by itself: thirty seconds after it was asked (a drain, a grace period) it would be made to."""
