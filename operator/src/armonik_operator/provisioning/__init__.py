"""Credentials of servers and namespaces, certificates, and the CustomResourceDefinitions."""
