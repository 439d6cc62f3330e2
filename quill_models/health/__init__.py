"""The checks of `quill doctor`."""
