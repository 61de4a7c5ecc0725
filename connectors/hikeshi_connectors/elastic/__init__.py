"""Elasticsearch and OpenSearch, with Elastic Security or Security Analytics if they are there."""

from hikeshi_connectors.elastic.connector import Elastic

__all__ = ["Elastic"]
