"""Commands of ``python -m nucleus_app``, thin over the services."""
