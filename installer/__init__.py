"""The guided set-up of Tuition in an AWS account. ``install.py`` starts it."""
