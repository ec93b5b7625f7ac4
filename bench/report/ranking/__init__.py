"""What a study of surrogates leaves: tables and figures."""
