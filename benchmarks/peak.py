"""`python -m benchmarks.peak FILE ARGUMENTS`: `choreo ARGUMENTS`, and its peak memory (kB) into FILE as it ends."""

import sys
from pathlib import Path

from choreo.cli.main import main

file = Path(sys.argv.pop(1))
try:
    main()
finally:
    # Not ru_maxrss: that of a child begins with what its parent had when it was started.
    status = Path("/proc/self/status").read_text(encoding="ascii")
    file.write_text(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")), encoding="ascii")
