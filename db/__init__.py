"""What is kept: tables, stores (functions that take a Session), blobs, migrations. The only home of SQL."""
