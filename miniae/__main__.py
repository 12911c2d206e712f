"""`python -m miniae` is the command `miniae`."""

import sys

from miniae.cli import main

sys.exit(main())
