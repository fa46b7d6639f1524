"""``python -m local`` runs the local stack. ``make run`` calls it."""

from local.run import main

raise SystemExit(main())
