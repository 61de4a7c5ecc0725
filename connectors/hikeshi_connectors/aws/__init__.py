"""What the connectors of AWS products share: services and addresses, signatures, protocols, errors. No product."""
