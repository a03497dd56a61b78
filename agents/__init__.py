"""The players: a Researcher, a Builder and a Reviewer, behind one small session protocol."""
