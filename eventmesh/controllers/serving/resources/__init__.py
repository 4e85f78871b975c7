"""Builders: from an object and the settings to the objects it owns. Pure; nothing here talks to an API."""
