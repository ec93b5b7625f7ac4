"""One search: its job, its folder, its log, the loop and its front."""
