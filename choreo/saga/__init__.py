"""Sagas: a spec as data, decisions as a pure function, and a coordinator that is a service like any other."""
