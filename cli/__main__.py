"""`python -m gentickets_cli`: the `gentickets` command."""

from .main import main

if __name__ == "__main__":
    main()
