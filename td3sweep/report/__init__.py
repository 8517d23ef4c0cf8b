"""The comparison report: read runs, say which factor changed what and how sure that is, draw it on one page."""
