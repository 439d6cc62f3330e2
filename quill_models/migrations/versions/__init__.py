"""The numbered migrations. Tables hold their checksums: an applied one stays byte for byte."""
