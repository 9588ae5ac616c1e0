"""Bad input, end to end: a service that runs meets it, says so, loses nothing, and goes on once it is mended."""
