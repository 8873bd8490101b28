"""How the pocket LLMs are made; `training/README.md` gives the commands. Needs a GPU, PyTorch."""
