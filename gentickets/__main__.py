"""`python -m gentickets`: the `gentickets` command."""

from gentickets_cli.main import main

if __name__ == "__main__":
    main()
