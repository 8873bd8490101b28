"""`python -m dmoa` is the `dmoa` command."""

from dmoa.cli.main import main

if __name__ == "__main__":
    main()
