"""The configuration file: lexer, parser, typed settings."""
