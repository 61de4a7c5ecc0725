"""The demo."""
from hikeshi.cli.session import Session
__all__ = ["demo"]
def demo(session: Session) -> int:
    """Show all of it."""
    return 0
