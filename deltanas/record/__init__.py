"""What a run leaves behind: its SQLite file, its figures, its tracker, its report.

Nothing is imported here, so that the store and the metrics load without matplotlib,
jinja2 or wandb.
"""
