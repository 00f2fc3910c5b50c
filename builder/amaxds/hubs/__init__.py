"""Elsewhere: publishing to hubs, and finding datasets there."""
