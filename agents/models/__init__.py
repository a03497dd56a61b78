"""Sessions with language models: Anthropic's Messages, and Chat Completions of OpenAI or any compatible server."""
