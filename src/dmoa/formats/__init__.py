"""Files of other people's tools: what they are, read and written."""
