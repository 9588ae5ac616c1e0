"""Tests of choreo/testing."""
