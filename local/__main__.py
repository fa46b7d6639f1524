"""``python -m local``: the whole stack on this machine. ``make run`` calls it."""

from local.run import main

raise SystemExit(main())
