"""A store that several activators share: a journal on a server, and on each of them a view of what it says."""
