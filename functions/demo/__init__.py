"""`make demo`: one mesh, all examples, and what happened at each step. It uses only what a user would."""
