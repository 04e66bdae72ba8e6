"""LDAP: users and groups of the platform in step with a directory's."""
