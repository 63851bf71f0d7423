"""Calls that have nothing to do with one another, as many as come: for `kofn.map`, `imap`, executors and joblib."""
