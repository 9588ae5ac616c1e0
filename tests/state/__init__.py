"""Tests of choreo/state."""
