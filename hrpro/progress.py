"""A progress bar for people who watch a terminal."""


def show(fraction: float, text: str) -> None:
    """Rewrite a progress bar in place. It says `done/total`, which background jobs read."""
    bar = "#" * round(20 * fraction)
    print(f"\r[{bar:20}] {round(100 * fraction)}/100  {text:60}", end="", flush=True)
