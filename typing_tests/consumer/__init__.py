"""An ETL of another repository: it imports what the docs name, and nothing else of the package."""
