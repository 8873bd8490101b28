"""Networks that choose a plan for each prompt: the law of `policies.law`, and its rivals."""
