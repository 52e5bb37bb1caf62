"""Tasks: submitted, waited for, cancelled, tried again; their results, failures and sub-tasks."""
