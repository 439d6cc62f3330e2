"""Speed of recording events, compared with the alternatives, on DynamoDB Local.

See ``docs/performance.md``; run it with ``python -m benchmarks.writes``.
"""
