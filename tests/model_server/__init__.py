"""A local server that speaks Anthropic's Messages and OpenAI's Chat Completions, streamed, in its own process."""
