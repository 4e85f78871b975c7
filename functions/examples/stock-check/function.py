"""A function that the clock calls: it looks at the stock, and answers with an order when there is too little."""

from eventmesh.functions import function, reply_to


@function
def check(tick):
    """Return `stock.low` when less is left than is wanted; nothing otherwise."""
    stock = tick.get_data()
    print(f"{stock['item']}: {stock['left']} left of {stock['wanted']}")
    if stock["left"] >= stock["wanted"]:
        return None
    return reply_to(tick, "stock.low", {"item": stock["item"], "missing": stock["wanted"] - stock["left"]})


@function(path="/order")
def order(low):
    """Take in what is low; there is nothing to reply."""
    stock = low.get_data()
    print(f"order {stock['missing']} {stock['item']}")
