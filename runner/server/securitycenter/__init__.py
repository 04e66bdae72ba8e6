"""The SecurityCenter dialect: ``/rest/…``, as far as LDAP servers and its clients' log-in go."""
