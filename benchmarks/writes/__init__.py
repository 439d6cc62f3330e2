"""How fast events are recorded, beside today's alternatives, on one DynamoDB Local.

See ``docs/performance.md``; run it with ``python -m benchmarks.writes``.
"""
