"""Tests of choreo/log."""
