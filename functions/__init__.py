"""Examples of functions, and the demo that deploys them."""
