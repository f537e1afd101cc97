"""`python -m pipeline` is the `pipeline` program."""

from pipeline.cli.main import main

if __name__ == "__main__":
    main()
