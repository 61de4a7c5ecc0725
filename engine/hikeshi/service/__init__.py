"""A running service: what API and console let an identified person do, checked and recorded in one place."""
