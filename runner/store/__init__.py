"""The store: everything durable, on SQLite or PostgreSQL. SQL stands here and nowhere else."""
