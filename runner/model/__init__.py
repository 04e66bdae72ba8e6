"""The words of the domain, as values: jobs, connections, changes, the platform's things."""
