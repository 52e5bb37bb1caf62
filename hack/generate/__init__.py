"""Programs that write source files of ours."""
