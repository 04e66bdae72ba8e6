"""Directories spoken to by LDAP: Active Directory, OpenLDAP and their kin."""
