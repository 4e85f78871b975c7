"""What replicas of control tell one another, so that Ready is the promise of the whole mesh: which objects their data
planes have acknowledged, and which they have refused. Nothing here touches a stream.
"""
