"""Crossing the gap: bundles out, return bundles back."""
