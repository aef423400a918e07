"""Text in, text out: prompts, the LLM behind one Protocol, locked decoding, random edits."""
