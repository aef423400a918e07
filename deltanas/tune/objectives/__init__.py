"""What an LLM is tuned for: one file an objective, each a loss over log-probabilities."""
