import sys

from miniae.gpucheck import main

sys.exit(main())
