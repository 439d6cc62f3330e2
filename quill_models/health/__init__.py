"""What `quill doctor` checks."""
