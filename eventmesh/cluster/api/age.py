"""How long ago, in the words of `kubectl get` (`apimachinery/pkg/util/duration`)."""

from __future__ import annotations

from datetime import UTC, datetime

UNKNOWN = "<unknown>"


def age(stamp: object, now: datetime) -> str:
    """Return the time between the RFC 3339 `stamp` and `now`, as `42s`, `3m5s`, `2d`; `<unknown>` without a stamp."""
    if not isinstance(stamp, str) or not stamp:
        return UNKNOWN
    try:
        then = datetime.fromisoformat(stamp.replace("Z", "+00:00"))
    except ValueError:
        return UNKNOWN
    if then.tzinfo is None:
        then = then.replace(tzinfo=UTC)
    return human_duration(int((now - then).total_seconds()))


def human_duration(seconds: int) -> str:
    """Return a duration with the precision that still tells: seconds below 10 minutes, hours below 8 days, ..."""
    if seconds < -1:
        return "<invalid>"
    seconds = max(seconds, 0)
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86_400
    if seconds < 120:
        return f"{seconds}s"
    if minutes < 10:
        return _two(minutes, "m", seconds % 60, "s")
    if minutes < 180:
        return f"{minutes}m"
    if hours < 8:
        return _two(hours, "h", minutes % 60, "m")
    if hours < 48:
        return f"{hours}h"
    if hours < 192:
        return _two(days, "d", hours % 24, "h")
    if days < 730:
        return f"{days}d"
    return _two(days // 365, "y", days % 365, "d") if days < 2920 else f"{days // 365}y"


def _two(large: int, large_unit: str, small: int, small_unit: str) -> str:
    return f"{large}{large_unit}{small}{small_unit}" if small else f"{large}{large_unit}"
