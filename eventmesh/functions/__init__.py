"""What the author of a function imports: decorators, what they are called with, and what they may return.

    from eventmesh.functions import function, reply_to

    @function
    def confirm(event):
        return reply_to(event, "order.confirmed", {"order": event.get_data()["order"]})

`eventmesh functions run` serves it, and so does the runtime, for an image whose `function.py` imports this package
(docs/functions.md). Importing it loads neither a server nor the compiled core.
"""

from eventmesh.functions.declared import bolt_function, function, http_function
from eventmesh.functions.events import Refused, reply_to
from eventmesh.functions.messages import Call, Request, Response

__all__ = ["Call", "Refused", "Request", "Response", "bolt_function", "function", "http_function", "reply_to"]
