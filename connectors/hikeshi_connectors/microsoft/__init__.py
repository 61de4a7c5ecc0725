"""What Microsoft's products share: the sign-in of an app, error envelopes, OData and Kusto queries."""
