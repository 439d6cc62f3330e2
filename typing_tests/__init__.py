"""What type checkers tell the users of this package. Checked by mypy and pyright, never run.

`inferred` asserts the types of calls. `mistakes` has what must be found: each has a comment for
mypy and one for pyright, and a comment that is no longer needed is an error of its own.
`consumer` is an ETL written from the docs, which the tests run, too.
"""
