"""LDAP directories: accounts and groups of Active Directory and of OpenLDAP."""

from hikeshi_connectors.ldap.connector import Ldap

__all__ = ["Ldap"]
