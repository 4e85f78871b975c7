"""The kinds that are part of Kubernetes itself: their table, their defaults and checks, their printed rows."""
