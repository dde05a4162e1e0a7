"""Extensions, one module each."""
