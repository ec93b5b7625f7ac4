"""What a study of methods leaves: tables and figures."""
