"""Judge a run from its log, whoever wrote it: read, name the series, feed the monitor, show what it says."""
