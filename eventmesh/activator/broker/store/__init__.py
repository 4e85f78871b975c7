"""Where accepted events live until every trigger is done with them: one interface, one contract suite."""
